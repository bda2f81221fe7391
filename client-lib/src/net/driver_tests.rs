//! The driver with a real engine on a fresh profile, against the scripted server.

use std::time::Duration;

use bytes::Bytes;
use plenary_proto::{
    ids::{Digest, LedgerHead, LedgerSeq, RequestId},
    reply::{Code, Failure, Push, Reply, ServerFrame},
    request::{ClientFrame, Request},
};
use ring::rand::SystemRandom;
use secrecy::SecretString;
use tokio::{join, sync::broadcast, time::timeout};

use super::{
    driver::Driver,
    testing::{DEVICE, NETWORK, Peer, Server},
};
use crate::{
    engine::{Engine, Event},
    error::{Error, ErrorKind},
    store::{Store, identity::Identity},
};

/// Nothing here takes a tenth of it, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

struct Rig {
    server: Server,
    driver: Driver,
    events: broadcast::Receiver<Event>,
    folder: tempfile::TempDir,
}

async fn rig(online: bool) -> Rig {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let identity = Identity {
        address: server.address.clone(),
        ca_pin: server.pin.0,
        network: NETWORK.0,
        root1: [0; 32],
        member: [4; 16],
        device: DEVICE.0,
        authentication: [3; 32],
        mls: [5; 32],
        custody: [6; 32],
        sealing: vec![],
        sealing_public: vec![],
        invitation: None,
    };
    let path = folder.path().to_owned();
    let make = move || {
        let store = Store::create(&path, &SecretString::from("a long passphrase"))?;
        store.put_identity(&identity)?;
        Engine::open(store, Box::new(SystemRandom::new()))
    };
    let (_, driver) = Driver::start(make, online).await.unwrap();
    Rig {
        events: driver.events(),
        server,
        driver,
        folder,
    }
}

impl Rig {
    async fn event(&mut self) -> Event {
        timeout(PATIENCE, self.events.recv())
            .await
            .unwrap()
            .unwrap()
    }

    /// A connection on which the engine has read an empty ledger.
    async fn online(&mut self) -> Peer {
        let mut peer = Box::pin(self.server.settle()).await;
        let (id, request) = request(&mut peer).await;
        assert!(matches!(request, Request::LedgerRead { .. }), "{request:?}");
        peer.answer(id, Ok(page(vec![], LedgerHead::EMPTY))).await;
        while self.event().await != Event::Online {}
        peer
    }
}

async fn request(peer: &mut Peer) -> (RequestId, Request) {
    match peer.receive().await {
        ClientFrame::Request(id, request) => (id, request),
        other => panic!("no request: {other:?}"),
    }
}

/// The request that only the test makes.
async fn asked(peer: &mut Peer) -> RequestId {
    loop {
        if let (id, Request::ListRequests) = request(peer).await {
            return id;
        }
    }
}

fn page(statements: Vec<Bytes>, head: LedgerHead) -> Reply {
    Reply::LedgerPage { statements, head }
}

#[tokio::test]
async fn a_call_is_answered_with_the_reply_or_the_refusal() {
    let mut rig = rig(true).await;
    let mut peer = rig.online().await;
    let (answer, ()) = join!(rig.driver.call(Request::ListRequests), async {
        let id = asked(&mut peer).await;
        peer.answer(id, Ok(Reply::RequestList(vec![]))).await;
    });
    assert_eq!(answer, Ok(Reply::RequestList(vec![])));
    let (answer, ()) = join!(rig.driver.call(Request::ListRequests), async {
        let id = asked(&mut peer).await;
        peer.answer(id, Err(Failure::new(Code::Quota, "full")))
            .await;
    });
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::Quota);
}

#[tokio::test]
async fn a_lost_line_fails_what_waits_and_comes_back_by_itself() {
    let mut rig = rig(true).await;
    let mut peer = rig.online().await;
    let (answer, ()) = join!(rig.driver.call(Request::ListRequests), async {
        asked(&mut peer).await;
        drop(peer);
    });
    assert!(answer.unwrap_err().is_retryable());
    assert_eq!(rig.event().await, Event::Offline);
    let trouble = rig.driver.trouble();
    assert_eq!(trouble.map(|error| error.kind()), Some(ErrorKind::Offline));
    rig.online().await;
    assert_eq!(rig.driver.trouble(), None);
}

#[tokio::test]
async fn without_a_line_a_call_fails_at_once_and_the_engine_still_works() {
    let rig = rig(false).await;
    let answer = rig.driver.call(Request::Welcomes).await;
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::Offline);
    let seq = rig.driver.run(|engine, _| Ok(engine.ledger_seq())).await;
    assert_eq!(seq, Ok(LedgerSeq(0)));
    let own = Error::new(ErrorKind::Input, "mine");
    let failed = own.clone();
    let result = rig.driver.run::<()>(move |_, _| Err(failed)).await;
    assert_eq!(result, Err(own));
}

#[tokio::test]
async fn a_refused_device_is_told_so() {
    let rig = rig(true).await;
    let mut peer = Box::pin(rig.server.accept()).await;
    peer.greet(&rig.server.hello()).await;
    let refusal = Failure::new(Code::Unauthenticated, "no");
    peer.send(ServerFrame::Refused(refusal)).await;
    let told = async {
        while rig
            .driver
            .trouble()
            .is_none_or(|error| error.kind() != ErrorKind::Unauthenticated)
        {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, told).await.unwrap();
}

#[tokio::test]
async fn a_ledger_that_does_not_hold_ends_the_connection() {
    let mut rig = rig(true).await;
    let mut peer = Box::pin(rig.server.settle()).await;
    let (id, _) = request(&mut peer).await;
    let head = LedgerHead {
        seq: LedgerSeq(1),
        hash: Digest([1; 32]),
    };
    let forged = page(vec![Bytes::from_static(b"forged")], head);
    peer.answer(id, Ok(forged)).await;
    assert!(matches!(rig.event().await, Event::Alarm { .. }));
    assert_eq!(peer.try_receive().await, None, "closed");
    let trouble = rig.driver.trouble().unwrap();
    assert_eq!(trouble.kind(), ErrorKind::Trust, "{trouble}");
}

#[tokio::test]
async fn closing_ends_engine_and_connection() {
    let mut rig = rig(true).await;
    let mut peer = rig.online().await;
    let other = rig.driver.clone();
    rig.driver.clone().close().await;
    while peer.try_receive().await.is_some() {}
    let after = other.run(|_, _| Ok(())).await;
    assert_eq!(after.unwrap_err().kind(), ErrorKind::Closed);
    let call = other.call(Request::Welcomes).await;
    assert_eq!(call.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn the_store_is_closed_when_the_last_handle_is_dropped() {
    let mut rig = rig(true).await;
    let _peer = rig.online().await;
    let (at_it, seen) = std::sync::mpsc::channel();
    let busy = rig.driver.run(move |_, _| {
        let _ = at_it.send(());
        std::thread::sleep(Duration::from_millis(100));
        Ok(())
    });
    // Given up while the engine is at it, and with more to do than its queue holds.
    let _ = timeout(Duration::ZERO, busy).await;
    seen.recv().unwrap();
    for _ in 0..300 {
        let _ = timeout(Duration::ZERO, rig.driver.run(|_, _| Ok(()))).await;
    }
    // There as long as the database is open.
    let log = rig.folder.path().join("profile.db-wal");
    assert!(log.exists());
    drop(rig.driver);
    assert!(!log.exists());
}

#[tokio::test]
async fn a_goodbye_and_pushes_are_taken() {
    let mut rig = rig(true).await;
    let mut peer = rig.online().await;
    peer.send(ServerFrame::Push(Push::AdmissionRequest)).await;
    while rig.event().await != Event::AdmissionRequest {}
    let bye = Push::Bye {
        reason: "restart".to_owned(),
        retry_after_ms: 100,
    };
    peer.send(ServerFrame::Push(bye)).await;
    drop(peer);
    while rig.event().await != Event::Offline {}
    rig.online().await;
}
