//! Addresses of clients and operators: none is misread, and what is read prints as what it was read from.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use wharf_proto::{Command, DataAddress, Network, Verb};

fuzz_target!(|input: (IpAddr, &[u8])| {
    let (local, argument) = input;
    if let Ok(Command::Port(target)) = Command::parse(Verb::Port, Some(argument)) {
        assert!(target.is_ipv4());
    }
    let _ = Command::parse(Verb::Epsv, Some(argument));
    if let Ok(address) = DataAddress::parse(argument) {
        if let Ok(target) = address.target(local) {
            assert_eq!(target.is_ipv4(), local.to_canonical().is_ipv4());
            let (protocol, ip, port) = (address.protocol, target.ip(), target.port());
            let printed = format!("|{protocol}|{ip}|{port}|");
            assert_eq!(DataAddress::parse(printed.as_bytes()), Ok(address));
        }
    }
    let network = str::from_utf8(argument).ok().and_then(|text| text.parse::<Network>().ok());
    if let Some(network) = network {
        assert_eq!(network.to_string().parse(), Ok(network));
        network.contains(local);
    }
});
