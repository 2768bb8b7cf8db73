//! Where the replicas of a group are.

use anyhow::{Context, bail};
use giro_log::Identity;
use giro_server::Address;

/// How far above a replica's port for clients the one for other replicas is, unless told.
const PEER_PORT_ABOVE: u16 = 1000;

/// A replica's places.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Places {
    /// Where it listens for clients.
    pub(crate) clients: Address,
    /// Where it listens for other replicas.
    pub(crate) peers: Address,
    /// Where all replicas are, by their number, for each other.
    pub(crate) names: Vec<String>,
}

impl Places {
    /// The places of the replica whose directory it is, from the settings.
    pub(crate) fn of(
        identity: &Identity,
        addresses: &str,
        peers: Option<&str>,
    ) -> anyhow::Result<Self> {
        let replica = usize::from(identity.replica);
        let addresses = list(addresses).context("in the addresses")?;
        let Some(clients) = addresses.get(replica).cloned() else {
            bail!(
                "this is replica {replica}, and there are {} addresses: name those of all \
                 replicas, by their number",
                addresses.len()
            );
        };
        let peers = match peers {
            Some(peers) => list(peers).context("in the peers")?,
            None => addresses.iter().map(above).collect::<Result<_, _>>()?,
        };
        let Some(own) = peers.get(replica).cloned() else {
            bail!(
                "this is replica {replica}, and there are {} peers: name all, by their number",
                peers.len()
            );
        };
        Ok(Self {
            clients,
            peers: own,
            names: peers.iter().map(ToString::to_string).collect(),
        })
    }
}

fn list(text: &str) -> anyhow::Result<Vec<Address>> {
    let parts = text.split(',').map(|part| part.trim().parse());
    Ok(parts.collect::<Result<_, _>>()?)
}

fn above(address: &Address) -> anyhow::Result<Address> {
    let Some(port) = address.port.checked_add(PEER_PORT_ABOVE) else {
        bail!("there is no port a thousand above {address}: say --peers");
    };
    if address.port == 0 {
        bail!("replicas find each other by their ports: 0 is none, name one");
    }
    Ok(Address {
        host: address.host.clone(),
        port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(replica: u8) -> Identity {
        giro::open::new_replica(7, replica, 3, [1, 2]).unwrap()
    }

    #[test]
    fn a_replica_listens_at_its_place_in_the_list() {
        let places = Places::of(&identity(1), "3001, 3002,other:3003", None).unwrap();
        assert_eq!(places.clients.to_string(), "127.0.0.1:3002");
        assert_eq!(places.peers.to_string(), "127.0.0.1:4002");
        let names = ["127.0.0.1:4001", "127.0.0.1:4002", "other:4003"];
        assert_eq!(places.names, names);
        let places = Places::of(&identity(0), "1,2,3", Some("a:9,b:9,c:9")).unwrap();
        assert_eq!(places.peers.to_string(), "a:9");
    }

    #[test]
    fn a_list_that_is_too_short_is_refused() {
        let refused = |replica, addresses, peers| {
            let places = Places::of(&identity(replica), addresses, peers);
            format!("{:#}", places.unwrap_err())
        };
        assert!(refused(2, "1,2", None).contains("replica 2, and there are 2 addresses"));
        assert!(refused(2, "1,2,3", Some("4")).contains("there are 1 peers"));
        assert!(refused(0, "0,0,0", None).contains("name one"));
        assert!(refused(0, "65000,1,2", None).contains("--peers"));
        assert!(refused(0, "x y", None).contains("not an address"));
    }
}
