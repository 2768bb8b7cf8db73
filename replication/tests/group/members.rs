//! Membership.

use giro_replication::{Change, ChangeRefused, Member, ReceiveError, Refusal, Role};

use crate::support::{World, member, members, unbound};

fn change(world: &mut World, change: &Change) -> Result<(), ChangeRefused> {
    let leader = world.leader().unwrap();
    world.node(leader).group.change(change, 900)?;
    world.ticks(6);
    Ok(())
}

fn with_learner() -> World {
    let mut world = World::new(3);
    world.elect_node(1);
    world.propose(1, "before", 1);
    world.settle();
    world.add_node(4, 3);
    change(&mut world, &Change::AddLearner(member(4))).unwrap();
    world
}

#[test]
fn a_learner_gets_everything_and_counts_for_nothing() {
    let mut world = with_learner();
    assert_eq!(world.node(4).texts(), ["before"]);
    world.isolate(2);
    world.cut.push((1, 3));
    world.propose(1, "x", 2);
    world.settle();
    assert!(world.node(4).entry(4).is_some(), "the learner has it");
    assert!(!world.node(1).texts().contains(&"x".to_owned()));
}

#[test]
fn a_learner_is_promoted_in_a_joint_change_that_ends_by_itself() {
    let mut world = with_learner();
    change(&mut world, &Change::Promote(4)).unwrap();
    for id in 1..=4 {
        let members = world.node(id).group.members();
        assert_eq!(members.voters, [1, 2, 3, 4], "node {id}");
        assert!(!members.is_joint());
    }
}

#[test]
fn a_lost_voter_is_replaced() {
    let mut world = with_learner();
    world.crash(3);
    let replace = Change::Replace {
        promote: 4,
        remove: 3,
    };
    change(&mut world, &replace).unwrap();
    world.ticks(5);
    assert_eq!(world.node(1).group.members().voters, [1, 2, 4]);
    assert!(world.node(1).group.members().is_removed(3));
    world.crash(2);
    world.propose(1, "after", 2);
    world.ticks(2);
    assert_eq!(world.node(4).texts(), ["before", "after"]);
}

#[test]
fn a_joint_change_outlives_its_leader() {
    let mut world = with_learner();
    let promote = Change::Promote(4);
    world.node(1).group.change(&promote, 900).unwrap();
    // The leader is lost when the change is committed and before the group left it.
    for _ in 0..200 {
        world.poll_all();
        for id in 1..=4 {
            world.node(id).write_one();
        }
        world.deliver();
        if world.node(1).group.members().is_joint() {
            break;
        }
    }
    assert!(world.node(1).group.members().is_joint());
    world.crash(1);
    let leader = world.elect();
    world.ticks(20);
    let members = world.node(leader).group.members();
    assert!(!members.is_joint());
    assert_eq!(members.voters, [1, 2, 3, 4]);
}

#[test]
fn a_removed_node_is_refused_by_name() {
    let mut world = World::new(3);
    world.elect_node(1);
    change(&mut world, &Change::Remove(3)).unwrap();
    assert_eq!(world.node(2).group.members().voters, [1, 2]);
    world.refused.clear();
    world.ticks(60);
    let refused = ReceiveError::Refused(Refusal::Removed { from: 3 });
    let others = world.refused.iter().filter(|found| **found != refused);
    assert_eq!(others.count(), 0);
    assert_eq!(world.leader(), Some(1), "it does not disturb the others");
}

#[test]
fn a_leader_that_removes_itself_steps_down() {
    let mut world = World::new(3);
    world.elect_node(1);
    world.propose(1, "before", 1);
    world.settle();
    // Node 3 has the entry that removes it, nobody knows it committed, and its leader is lost.
    world.cut.extend([(1, 2), (3, 1)]);
    world.node(1).group.change(&Change::Remove(3), 900).unwrap();
    world.settle();
    world.crash(1);
    world.heal();
    for _ in 0..200 {
        world.ticks(1);
        if world.node(3).group.members().is_removed(3) {
            break;
        }
    }
    assert!(
        world.node(3).group.members().is_removed(3),
        "it led, and committed it"
    );
    assert_ne!(world.node(3).group.role().role, Role::Leader);
    // Its writes go on becoming durable, and the others find a leader among them.
    world.restart(1);
    let leader = world.elect();
    assert_ne!(leader, 3);
    world.propose(leader, "after", 2);
    world.ticks(2);
    assert_eq!(world.node(leader).texts(), ["before", "after"]);
    assert_eq!(world.node(leader).group.members().voters, [1, 2]);
}

#[test]
fn a_node_made_anew_cannot_take_its_old_id() {
    let mut world = World::new(3);
    world.elect_node(1);
    let again = Change::AddLearner(member(2));
    let (id, next) = (2, 4);
    assert_eq!(
        change(&mut world, &again),
        Err(ChangeRefused::IdTaken { id, next })
    );
    change(&mut world, &Change::Remove(3)).unwrap();
    let gone = Change::AddLearner(Member {
        incarnation: 5,
        ..member(3)
    });
    let (id, next) = (3, 4);
    assert_eq!(
        change(&mut world, &gone),
        Err(ChangeRefused::IdTaken { id, next })
    );
}

#[test]
fn changes_that_would_lose_the_quorum_are_refused() {
    let mut world = World::new(3);
    world.elect_node(1);
    world.crash(3);
    world.ticks(30);
    let (voters, healthy) = (2, 1);
    assert_eq!(
        change(&mut world, &Change::Remove(2)),
        Err(ChangeRefused::QuorumLost { voters, healthy })
    );
    change(&mut world, &Change::Remove(3)).unwrap();
    assert_eq!(world.node(2).group.members().voters, [1, 2]);
}

#[test]
fn a_change_is_refused_for_each_wrong_node() {
    let mut world = with_learner();
    let refused = |world: &mut World, wanted: Change| change(world, &wanted).unwrap_err();
    assert_eq!(
        refused(&mut world, Change::Promote(2)),
        ChangeRefused::NoLearner(2)
    );
    assert_eq!(
        refused(&mut world, Change::Remove(1)),
        ChangeRefused::IsLeader(1)
    );
    assert_eq!(
        refused(&mut world, Change::Remove(9)),
        ChangeRefused::NoMember(9)
    );
    let long = Member {
        name: "x".repeat(256),
        ..member(5)
    };
    assert_eq!(
        refused(&mut world, Change::AddLearner(long)),
        ChangeRefused::NameTooLong
    );
    world
        .node(2)
        .group
        .change(&Change::Remove(4), 1)
        .unwrap_err();
    world.crash(4);
    world.ticks(30);
    assert_eq!(
        refused(&mut world, Change::Promote(4)),
        ChangeRefused::Silent(4)
    );
    assert_eq!(
        world.node(1).group.transfer(4),
        Err(ChangeRefused::NoMember(4))
    );
}

#[test]
fn a_group_learns_who_its_first_members_are_and_takes_nobody_else_for_them() {
    let mut world = World::of(3, &unbound(3));
    world.elect_node(1);
    world.ticks(10);
    for id in 1..=3 {
        let known = &world.node(id).group.members().known;
        let incarnations: Vec<u64> = known.iter().map(|member| member.incarnation).collect();
        assert_eq!(incarnations, [1001, 1002, 1003], "node {id}");
        assert_eq!(world.node(id).group.members().voters, [1, 2, 3]);
    }
    // The directory of node 3 is made anew: another node, which only has its number.
    world.crash(3);
    world.nodes.retain(|node| node.id() != 3);
    world.refused.clear();
    world.add_other(3, 7777, &unbound(3));
    // It hears nothing, or it would notice itself that it lost what it had acknowledged.
    world.cut.extend([(1, 3), (2, 3)]);
    world.ticks(40);
    let reused = |refused: &ReceiveError| {
        matches!(
            refused,
            ReceiveError::Refused(Refusal::ReusedId {
                from: 3,
                found: 7777,
                expected: 1003
            })
        )
    };
    assert!(world.refused.iter().any(reused), "{:?}", world.refused);
    assert_eq!(world.leader(), Some(1), "the group goes on");
}

#[test]
fn a_learner_whose_incarnation_was_not_known_stays_a_learner() {
    let mut world = World::new(3);
    world.elect_node(1);
    world.add_node(4, 3);
    let stranger = Member {
        incarnation: 0,
        ..member(4)
    };
    change(&mut world, &Change::AddLearner(stranger)).unwrap();
    world.ticks(10);
    let members = world.node(2).group.members();
    assert_eq!(members.get(4).map(|member| member.incarnation), Some(1004));
    assert_eq!(
        (&members.voters[..], &members.learners[..]),
        (&[1, 2, 3][..], &[4][..])
    );
}

#[test]
fn a_node_that_was_made_anew_before_it_joined_is_bound_as_it_is_now() {
    let mut world = World::new(3);
    world.elect_node(1);
    // It runs, and tells the others that it is there, before anybody asked for it.
    world.add_node(4, 3);
    for id in 1..=3 {
        let greeting = world.node(4).group.greeting(id).unwrap();
        world.node(id).group.receive(&greeting.to_bytes()).unwrap();
    }
    // Its directory is made anew, and only then it joins.
    world.nodes.retain(|node| node.id() != 4);
    world.add_other(4, 7777, &members(3));
    let stranger = Member {
        incarnation: 0,
        ..member(4)
    };
    change(&mut world, &Change::AddLearner(stranger)).unwrap();
    world.ticks(10);
    assert_eq!(world.refused, []);
    for id in 1..=4 {
        let members = world.node(id).group.members();
        let incarnation = members.get(4).map(|member| member.incarnation);
        assert_eq!(incarnation, Some(7777), "node {id}");
    }
    change(&mut world, &Change::Promote(4)).unwrap();
    assert_eq!(world.node(2).group.members().voters, [1, 2, 3, 4]);
}

#[test]
fn one_change_at_a_time() {
    let mut world = World::new(3);
    world.elect_node(1);
    let group = &mut world.node(1).group;
    group.change(&Change::AddLearner(member(4)), 1).unwrap();
    let second = group.change(&Change::AddLearner(member(5)), 2);
    assert_eq!(second, Err(ChangeRefused::UnderWay));
    world.settle();
    assert_eq!(world.node(1).tickets(), [1]);
    assert_eq!(world.node(1).group.members().learners, [4]);
}

#[test]
fn leadership_is_handed_over() {
    let mut world = World::new(3);
    world.elect_node(1);
    world.node(1).group.transfer(3).unwrap();
    world.ticks(3);
    assert_eq!(world.leader(), Some(3));
    assert_eq!(world.node(1).group.role().role, Role::Follower);
    assert_eq!(world.node(1).group.role().leader, Some(3));
}

#[test]
fn a_leader_that_gives_way_tries_each_voter_that_is_there() {
    let mut world = World::new(3);
    let leader = world.elect();
    let others: Vec<_> = (1..=3).filter(|id| *id != leader).collect();
    assert_eq!(
        world.node(others[0]).group.give_way(0),
        None,
        "it leads nobody"
    );
    // Neither can write its vote for itself.
    for id in &others {
        world.node(*id).is_stalled = true;
    }
    let first = world.node(leader).group.give_way(0).unwrap();
    assert!(others.contains(&first));
    assert_eq!(
        world.node(leader).group.give_way(0),
        None,
        "it is under way"
    );
    world.ticks(20);
    assert_eq!(world.leader(), Some(leader), "it was given up");
    let above = world.node(leader).group.status().last;
    let nobody = world.node(leader).group.give_way(above);
    assert_eq!(nobody, None, "that has more than there is");
    let second = world.node(leader).group.give_way(0).unwrap();
    assert_eq!(first + second + leader, 6, "the other one");
    world.node(second).is_stalled = false;
    world.ticks(3);
    assert_eq!(world.leader(), Some(second));
}
