//! Connections that end, and who notices.

use giro_replication::NodeId;

use super::{Happening, World};

/// The end of a connection is noticed at once (us).
pub(super) const NOTICED_US: u64 = 300;
/// One that carries nothing any more is given up after this (us).
const SILENT_US: u64 = 400_000;

impl World {
    /// The connection breaks: what is on its way is lost, and its sender hears of it.
    pub(crate) fn break_connection(&mut self, from: NodeId, to: NodeId) {
        self.network.break_connection(from, to);
        self.notices(from, to, NOTICED_US);
    }

    /// Nothing passes from `from` to `to` any more.
    pub(crate) fn cut(&mut self, from: NodeId, to: NodeId) {
        self.network.cut(from, to);
        self.notices(from, to, SILENT_US);
    }

    /// A node will notice that it does not reach another.
    pub(super) fn notices(&mut self, node: NodeId, peer: NodeId, delay_us: u64) {
        let sender = self.nodes.get(&node).filter(|node| node.up.is_some());
        let Some(life) = sender.map(|node| node.life) else {
            return;
        };
        let unreachable = Happening::Unreachable { node, life, peer };
        self.at(self.now_us + delay_us, unreachable);
    }

    pub(super) fn unreachable(
        &mut self,
        (id, life): (NodeId, u64),
        peer: NodeId,
    ) -> Result<(), String> {
        self.on_life(id, life, |node, _| {
            if let Some(up) = &mut node.up {
                up.replica.unreachable(peer);
            }
            Ok(())
        })
    }

    /// A node will end, if it still lives then, and start again.
    pub(crate) fn stop_later(&mut self, id: NodeId, life: u64, delay_us: u64) {
        self.at(self.now_us + delay_us, Happening::Stop(id, life));
    }
}
