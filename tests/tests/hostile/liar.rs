//! The lying server: the real one, with somebody at its door who may hold, drop, double, reorder,
//! rewrite or answer every frame himself.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use bytes::Bytes;
use plenary_client::simulation::{Passing, Wire, World};
use plenary_proto::{
    ids::{RequestId, UnixMillis},
    reply::{Failure, Hello, Push, Reply, ServerFrame},
    request::{ClientFrame, Request},
};

/// What the liar has before it.
pub enum Seen<'a> {
    /// The server's first word. May be changed.
    Hello(&'a mut Hello),
    /// A request. May be changed.
    Request(&'a mut Request),
    /// The answer to a request. May be changed.
    Reply(&'a Request, &'a mut Result<Reply, Failure>),
    /// A push. May be changed.
    Push(&'a mut Push),
    /// Nothing else moves; the party is always 0.
    Idle,
}

/// What becomes of it.
pub enum Fate {
    /// It goes on, changed or not.
    Pass,
    /// It does not.
    Drop,
    /// It goes on twice.
    Twice,
    /// A request is not passed on; this is its answer.
    Answer(Box<Result<Reply, Failure>>),
    /// These bytes go to the party instead.
    Raw(Bytes),
}

impl Fate {
    /// An answer.
    pub fn answer(reply: Reply) -> Self {
        Self::Answer(Box::new(Ok(reply)))
    }
}

/// Pushes and answers that come by themselves.
#[derive(Default)]
pub struct Scene {
    /// The world's time.
    pub now: UnixMillis,
    /// To whom, what.
    pub pushes: Vec<(usize, Push)>,
    /// Answers to what was not asked, or not now.
    pub answers: Vec<(usize, RequestId, Result<Reply, Failure>)>,
    /// The id of the request at hand.
    pub id: RequestId,
}

type Lie = Box<dyn FnMut(&mut Scene, usize, Seen<'_>) -> Fate>;

struct Liar {
    asked: HashMap<(usize, RequestId), Request>,
    lie: Lie,
    tampered: Rc<RefCell<u64>>,
}

/// Puts a liar at the server's door. The result counts the frames that it tampered with.
pub fn lie(
    world: &mut World,
    lie: impl FnMut(&mut Scene, usize, Seen<'_>) -> Fate + 'static,
) -> Rc<RefCell<u64>> {
    let tampered = Rc::new(RefCell::new(0));
    world.wire = Some(Box::new(Liar {
        asked: HashMap::new(),
        lie: Box::new(lie),
        tampered: tampered.clone(),
    }));
    tampered
}

impl Liar {
    fn ask(&mut self, now: UnixMillis, id: RequestId, who: usize, seen: Seen<'_>) -> (Fate, Scene) {
        let mut scene = Scene {
            now,
            id,
            ..Scene::default()
        };
        let fate = (self.lie)(&mut scene, who, seen);
        let own = scene.pushes.len() + scene.answers.len();
        *self.tampered.borrow_mut() += own as u64 + u64::from(!matches!(fate, Fate::Pass));
        (fate, scene)
    }

    fn count(&self, changed: bool) {
        *self.tampered.borrow_mut() += u64::from(changed);
    }
}

fn extra(scene: Scene, passing: &mut Passing) {
    for (to, push) in scene.pushes {
        passing.push(to, push);
    }
    for (to, id, reply) in scene.answers {
        passing.answer(to, id, reply);
    }
}

impl Wire for Liar {
    fn hello(&mut self, to: usize, mut hello: Hello) -> Hello {
        let before = hello.clone();
        let now = hello.time;
        self.ask(now, RequestId(0), to, Seen::Hello(&mut hello));
        self.count(hello != before);
        hello
    }

    fn up(&mut self, now: UnixMillis, from: usize, frame: ClientFrame, passing: &mut Passing) {
        let ClientFrame::Request(id, mut request) = frame else {
            return passing.up(from, frame);
        };
        let before = request.clone();
        let (fate, scene) = self.ask(now, id, from, Seen::Request(&mut request));
        self.count(request != before);
        self.asked.insert((from, id), request.clone());
        match fate {
            Fate::Pass => passing.up(from, ClientFrame::Request(id, request)),
            Fate::Twice => {
                passing.up(from, ClientFrame::Request(id, request.clone()));
                passing.up(from, ClientFrame::Request(id, request));
            }
            Fate::Drop => {}
            Fate::Answer(reply) => passing.answer(from, id, *reply),
            Fate::Raw(bytes) => passing.raw(from, bytes),
        }
        extra(scene, passing);
    }

    fn down(&mut self, now: UnixMillis, to: usize, frame: ServerFrame, passing: &mut Passing) {
        match frame {
            ServerFrame::Reply(id, mut reply) => {
                let Some(request) = self.asked.remove(&(to, id)) else {
                    return passing.answer(to, id, reply);
                };
                let before = reply.clone();
                let seen = Seen::Reply(&request, &mut reply);
                let (fate, scene) = self.ask(now, id, to, seen);
                self.count(reply != before);
                match fate {
                    Fate::Pass => passing.answer(to, id, reply),
                    Fate::Twice => {
                        passing.answer(to, id, reply.clone());
                        passing.answer(to, id, reply);
                    }
                    Fate::Drop => {}
                    Fate::Answer(reply) => passing.answer(to, id, *reply),
                    Fate::Raw(bytes) => passing.raw(to, bytes),
                }
                extra(scene, passing);
            }
            ServerFrame::Push(mut push) => {
                let before = push.clone();
                let (fate, scene) = self.ask(now, RequestId(0), to, Seen::Push(&mut push));
                self.count(push != before);
                match fate {
                    Fate::Pass => passing.push(to, push),
                    Fate::Twice => {
                        passing.push(to, push.clone());
                        passing.push(to, push);
                    }
                    Fate::Drop | Fate::Answer(_) => {}
                    Fate::Raw(bytes) => passing.raw(to, bytes),
                }
                extra(scene, passing);
            }
            other => passing.down(to, other),
        }
    }

    fn idle(&mut self, now: UnixMillis, passing: &mut Passing) {
        let (_, scene) = self.ask(now, RequestId(0), 0, Seen::Idle);
        extra(scene, passing);
    }

    fn connected(&mut self, party: usize) {
        self.asked.retain(|(one, _), _| *one != party);
    }
}
