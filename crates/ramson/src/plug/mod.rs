//! Ready-made ends for other libraries, each behind the feature of its name.
//!
//! | feature | what it gives |
//! |---|---|
//! | `axum` | [`Listener`](crate::Listener) for `axum::serve`, with the peer as connect info |
//! | `hyper` | a connector for the HTTP client of hyper-util |
//! | `socks5` | a SOCKS5 proxy on loopback, for clients that take no connector |
//! | `reqwest` | the same as a `reqwest::Proxy` |

#[cfg(feature = "axum")]
pub mod axum;

#[cfg(feature = "hyper")]
pub mod hyper;

#[cfg(feature = "socks5")]
pub mod socks5;

/// The port for a connection by a protocol whose ports are those of TCP: 0 where the router has
/// none on streams.
#[cfg(any(feature = "hyper", feature = "socks5"))]
fn port_on(session: &crate::Session, port: u16) -> u16 {
    if session.capabilities().has(crate::Capability::StreamPorts) {
        port
    } else {
        0
    }
}
