//! Small complete programs on I2P; each is an example target of this package.
