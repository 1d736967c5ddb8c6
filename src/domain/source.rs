//! Where a request comes from, as far as one source is told from another.

use std::net::{IpAddr, Ipv6Addr};

/// The address that is counted: whoever has one IPv6 address has its whole /64.
pub fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}
