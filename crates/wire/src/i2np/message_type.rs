/// The type of an I2NP message (I2NP, Messages).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageType {
    /// 1.
    DatabaseStore,
    /// 2.
    DatabaseLookup,
    /// 3.
    DatabaseSearchReply,
    /// 10.
    DeliveryStatus,
    /// 11.
    Garlic,
    /// 18.
    TunnelData,
    /// 19.
    TunnelGateway,
    /// 20.
    Data,
    /// 21, of old.
    TunnelBuild,
    /// 22, of old.
    TunnelBuildReply,
    /// 23.
    VariableTunnelBuild,
    /// 24.
    VariableTunnelBuildReply,
    /// 25.
    ShortTunnelBuild,
    /// 26.
    OutboundTunnelBuildReply,
    /// Any other. An outbound endpoint must forward those too: i2pd tests its tunnels with 231.
    Other(u8),
}

impl MessageType {
    /// Returns the type of this number.
    pub fn from_code(code: u8) -> Self {
        match code {
            1 => Self::DatabaseStore,
            2 => Self::DatabaseLookup,
            3 => Self::DatabaseSearchReply,
            10 => Self::DeliveryStatus,
            11 => Self::Garlic,
            18 => Self::TunnelData,
            19 => Self::TunnelGateway,
            20 => Self::Data,
            21 => Self::TunnelBuild,
            22 => Self::TunnelBuildReply,
            23 => Self::VariableTunnelBuild,
            24 => Self::VariableTunnelBuildReply,
            25 => Self::ShortTunnelBuild,
            26 => Self::OutboundTunnelBuildReply,
            _ => Self::Other(code),
        }
    }

    /// Returns the number.
    pub fn code(self) -> u8 {
        match self {
            Self::DatabaseStore => 1,
            Self::DatabaseLookup => 2,
            Self::DatabaseSearchReply => 3,
            Self::DeliveryStatus => 10,
            Self::Garlic => 11,
            Self::TunnelData => 18,
            Self::TunnelGateway => 19,
            Self::Data => 20,
            Self::TunnelBuild => 21,
            Self::TunnelBuildReply => 22,
            Self::VariableTunnelBuild => 23,
            Self::VariableTunnelBuildReply => 24,
            Self::ShortTunnelBuild => 25,
            Self::OutboundTunnelBuildReply => 26,
            Self::Other(code) => code,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_types_are_one_to_one() {
        for code in 0..=u8::MAX {
            assert_eq!(MessageType::from_code(code).code(), code);
        }
        assert_eq!(MessageType::from_code(231), MessageType::Other(231));
    }
}
