//! Which addresses belong to the public internet, and so to nobody in particular here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address may be dialled because a stranger named it: none of the special-purpose registries (RFC 6890),
/// also not inside an IPv6 address that carries one.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

#[allow(clippy::match_like_matches_macro)] // it reads as the table that it is
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match (a, b, c) {
        (0 | 10 | 127 | 224..=255, ..) => true,
        (100, 64..=127, _) => true,
        (169, 254, _) => true,
        (172, 16..=31, _) => true,
        (192, 0, 0 | 2) | (192, 88, 99) | (192, 168, _) => true,
        (198, 18 | 19, _) | (198, 51, 100) => true,
        (203, 0, 113) => true,
        _ => false,
    };
    // the metadata service of one cloud has a public address
    !special && address != Ipv4Addr::new(168, 63, 129, 16)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(inner) = address.to_ipv4_mapped() {
        return is_public_v4(inner);
    }
    let s = address.segments();
    match s[0] {
        // unspecified, loopback, IPv4-compatible, and all else of 0::/16
        0 => false,
        // NAT64, whatever it leads to
        0x64 if s[1] == 0xff9b => false,
        // discard-only
        0x100 if s[1] == 0 => false,
        // protocol assignments with Teredo and ORCHID; documentation
        0x2001 if s[1] < 0x200 || s[1] == 0xdb8 => false,
        // 6to4 carries an IPv4 address
        0x2002 => is_public_v4(Ipv4Addr::from((u32::from(s[1]) << 16) | u32::from(s[2]))),
        // documentation
        0x3fff if s[1] < 0x1000 => false,
        // segment routing
        0x5f00 => false,
        // unique local, link-local, site-local, multicast
        first => first & 0xfe00 != 0xfc00 && first & 0xffc0 != 0xfe80 && first & 0xffc0 != 0xfec0 && first < 0xff00,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CI-05, R-43
    #[test]
    fn no_special_address_is_public() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "168.63.129.16",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a00:1",
            "64:ff9b::808:808",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:1ff::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fdff::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn the_others_are() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.0.1",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "2002:808:808::1",
            "2a00::1",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }
}
