//! A network with a Board of three, founded and filled as people would: by key files, invitations,
//! request files, two signatures.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use plenary_certs::invitation::Invitation;
use plenary_client::{
    BoardKeyFile, BoardPerson, Capacity, Client, Founding, Joining, NewChannel, Person, Requested,
    ids::{ChannelId, InvitationId, MemberId, PublicKey},
};
use secrecy::SecretString;
use tokio::{sync::Semaphore, task::JoinSet};

use super::{PATIENCE, Server};

/// Of every profile and every Board key here.
pub const PASSPHRASE: &str = "correct horse battery staple";

/// People on the Board.
const BOARD: usize = 3;
/// Key derivations at once: each takes a core and 64 MiB.
const DERIVATIONS: usize = 2;
/// Admissions in one request: what the Board signs at a sitting.
const BATCH: usize = 25;

/// [`PASSPHRASE`], as the client wants it.
pub fn passphrase() -> SecretString {
    SecretString::from(PASSPHRASE.to_owned())
}

/// Somebody from somewhere.
pub fn person(name: impl Into<String>, state: impl Into<String>) -> Person {
    Person {
        name: name.into(),
        state: state.into(),
        languages: vec!["en".to_owned()],
        expertise: Vec::new(),
    }
}

/// A seat on the Board: a sealed key file and whose it is.
#[derive(Debug, Clone)]
pub struct Seat {
    /// The sealed file's text.
    pub file: String,
    /// The member that its holder is, or will be.
    pub member: MemberId,
    /// The public half.
    pub key: PublicKey,
}

/// Somebody to be admitted.
#[derive(Debug, Clone)]
pub struct Newcomer {
    /// Who.
    pub person: Person,
    /// As what.
    pub capacity: Capacity,
    /// Which seat of the Board is theirs, if one.
    pub seat: Option<usize>,
}

impl Newcomer {
    /// An ordinary member.
    pub fn member(person: Person) -> Self {
        Self {
            person,
            capacity: Capacity::Member,
            seat: None,
        }
    }
}

/// An admitted member, online.
#[derive(Debug, Clone)]
pub struct Member {
    /// Who.
    pub person: Person,
    /// The profile's folder.
    pub folder: PathBuf,
    /// The pseudonym.
    pub id: MemberId,
    /// The client; an empty place while the member is away.
    client: Option<Client>,
}

impl Member {
    /// Opens a profile and waits until it is online.
    ///
    /// # Errors
    /// When it cannot be opened, or is not online in time.
    pub async fn open(person: Person, folder: PathBuf) -> Result<Self> {
        let client = Client::builder(&folder, passphrase()).open().await?;
        client.online(PATIENCE).await?;
        let id = client.member();
        Ok(Self {
            person,
            folder,
            id,
            client: Some(client),
        })
    }

    /// The client.
    ///
    /// # Errors
    /// While the member is away.
    pub fn client(&self) -> Result<&Client> {
        self.client
            .as_ref()
            .with_context(|| format!("{} is away", self.person.name))
    }

    /// Closes the profile.
    ///
    /// # Errors
    /// While the member is away.
    pub async fn leave(&mut self) -> Result<()> {
        let client = self.client.take();
        client.context("away already")?.close().await;
        Ok(())
    }

    /// Opens the profile again; does not wait for the server.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn come_back(&mut self) -> Result<&Client> {
        let client = Client::builder(&self.folder, passphrase()).open().await?;
        Ok(self.client.insert(client))
    }
}

/// By which invitations people asked, who, and where their profiles are.
type Joined = (Vec<InvitationId>, Vec<(Person, PathBuf)>);

/// A founded network.
#[derive(Debug)]
pub struct Network {
    /// The Board. The founder has the first seat.
    pub board: Vec<Seat>,
    /// The founder, who submits what the Board signs.
    pub founder: Member,
    folder: PathBuf,
    profiles: usize,
}

impl Network {
    /// Founds a network on a fresh server, with a Board of three and open channels (name,
    /// purpose). Profiles lie below `folder`.
    ///
    /// # Errors
    /// Anything that fails: nothing here may.
    pub async fn found(
        server: &Server,
        folder: &Path,
        founder: Person,
        channels: &[(&str, &str)],
    ) -> Result<Self> {
        Self::found_with(server, folder, founder, channels, Vec::new()).await
    }

    /// As [`Network::found`], with keys of machines that vouch for the ledger.
    ///
    /// # Errors
    /// As [`Network::found`].
    pub async fn found_with(
        server: &Server,
        folder: &Path,
        founder: Person,
        channels: &[(&str, &str)],
        heartbeat: Vec<PublicKey>,
    ) -> Result<Self> {
        let board = board().await?;
        let told = server.founder()?;
        let home = folder.join("profile-00");
        let builder = Client::builder(&home, passphrase());
        let founding = Founding {
            invitation: told.invitation.context("a network was founded here")?,
            server_key: told.server_key.parse()?,
            board: board
                .iter()
                .map(|seat| BoardPerson {
                    member: seat.member,
                    key: seat.key,
                })
                .collect(),
            heartbeat,
            person: founder.clone(),
            channels: channels
                .iter()
                .map(|(name, purpose)| NewChannel::open(*name, *purpose))
                .collect(),
            recovery: Vec::new(),
            recovery_threshold: 0,
        };
        let request = builder.found(&founding)?;
        let signatures = two_sign(&board, &request).await?;
        builder.submit_founding(&request, &signatures).await?;
        let founder = Member::open(founder, home).await?;
        Ok(Self {
            board,
            founder,
            folder: folder.to_owned(),
            profiles: 1,
        })
    }

    /// Admits people, in batches that the Board signs at once; all are online when this returns.
    /// `step` is called twice for each: asked, and online.
    ///
    /// # Errors
    /// Anything that fails: nothing here may.
    pub async fn admit(
        &mut self,
        newcomers: Vec<Newcomer>,
        step: &dyn Fn(),
    ) -> Result<Vec<Member>> {
        let mut members = Vec::with_capacity(newcomers.len());
        for batch in newcomers.chunks(BATCH) {
            let (invitations, homes) = self.join(batch, step).await?;
            let requests = self.founder.client()?.admission_requests().await?;
            for invitation in &invitations {
                let came = requests.iter().any(|one| one.invitation == *invitation);
                ensure!(came, "no request came by invitation {invitation}");
            }
            self.decide(invitations.into_iter().map(Requested::Admit).collect())
                .await?;
            let open = |(person, home)| Member::open(person, home);
            members.extend(each(homes, open, step).await?);
        }
        Ok(members)
    }

    /// Has something asked of the Board signed by two, and submits it.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn decide(&self, asked: Vec<Requested>) -> Result<()> {
        let client = self.founder.client()?;
        let request = client.board_request(asked).await?;
        let signatures = two_sign(&self.board, &request).await?;
        client.submit(&request, &signatures).await?;
        Ok(())
    }

    /// Signs a request file with the keys of some seats.
    ///
    /// # Errors
    /// When the request is no such file.
    pub async fn sign(&self, seats: &[usize], request: &str) -> Result<Vec<String>> {
        let seats = seats.iter().map(|seat| self.board[*seat].clone()).collect();
        sign(seats, request).await
    }

    /// Invites everybody, and has them ask for admission.
    async fn join(&mut self, batch: &[Newcomer], step: &dyn Fn()) -> Result<Joined> {
        let mut invitations = Vec::with_capacity(batch.len());
        let mut joining = Vec::with_capacity(batch.len());
        for newcomer in batch {
            let home = self.folder.join(format!("profile-{:02}", self.profiles));
            self.profiles += 1;
            let invitation = self.founder.client()?.invite().await?;
            invitations.push(Invitation::parse(&invitation)?.id);
            let asked = Joining {
                invitation,
                person: newcomer.person.clone(),
                capacity: newcomer.capacity,
                nominated_by: format!("Central authority of {}", newcomer.person.state),
                reason: "works on cases of this network".to_owned(),
                member: newcomer.seat.map(|seat| self.board[seat].member),
            };
            joining.push((asked, home));
        }
        let join = |(asked, home): (Joining, PathBuf)| async move {
            let builder = Client::builder(&home, passphrase());
            builder.join(&asked).await?;
            Ok((asked.person, home))
        };
        Ok((invitations, each(joining, join, step).await?))
    }
}

/// Asks to enter channels, one member after the other in each, and waits until all are in: whoever
/// enters commits to the channel's group, and one commit at a time is taken.
///
/// # Errors
/// When somebody is not in in time.
pub async fn enter(
    members: &[Member],
    channels: &[ChannelId],
    step: impl Fn() + Clone + Send + 'static,
) -> Result<()> {
    let clients: Vec<Client> = members
        .iter()
        .map(|member| member.client().cloned())
        .collect::<Result<_>>()?;
    let mut tasks = JoinSet::new();
    for channel in channels.iter().copied() {
        let (clients, step) = (clients.clone(), step.clone());
        tasks.spawn(async move {
            for client in clients {
                client.enter(channel).await?;
                tokio::time::timeout(PATIENCE, client.entered(channel))
                    .await
                    .with_context(|| format!("{client:?} does not get into {channel:?}"))??;
                step();
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

async fn board() -> Result<Vec<Seat>> {
    let seat = |_| async {
        tokio::task::spawn_blocking(|| {
            let (file, member, key) = BoardKeyFile::generate(None, &passphrase())?;
            Ok(Seat { file, member, key })
        })
        .await?
    };
    each((0..BOARD).collect(), seat, &|| {}).await
}

/// The founder's key does not sign: any two of the three will do.
async fn two_sign(board: &[Seat], request: &str) -> Result<Vec<String>> {
    sign(board[1..].to_vec(), request).await
}

async fn sign(seats: Vec<Seat>, request: &str) -> Result<Vec<String>> {
    let request: Arc<str> = request.into();
    let sign = |seat: Seat| {
        let request = request.clone();
        async move {
            tokio::task::spawn_blocking(move || {
                Ok(BoardKeyFile::sign(&seat.file, &passphrase(), &request)?)
            })
            .await?
        }
    };
    each(seats, sign, &|| {}).await
}

/// Does the same for each, [`DERIVATIONS`] at a time; results in the order of the inputs.
async fn each<A, B, F>(inputs: Vec<A>, work: impl Fn(A) -> F, step: &dyn Fn()) -> Result<Vec<B>>
where
    F: Future<Output = Result<B>> + Send + 'static,
    B: Send + 'static,
{
    let turns = Arc::new(Semaphore::new(DERIVATIONS));
    let mut tasks = JoinSet::new();
    for (index, input) in inputs.into_iter().enumerate() {
        let (turns, work) = (turns.clone(), work(input));
        tasks.spawn(async move {
            let _turn = turns.acquire().await?;
            anyhow::Ok((index, work.await?))
        });
    }
    let mut outputs = Vec::new();
    while let Some(done) = tasks.join_next().await {
        outputs.push(done??);
        step();
    }
    outputs.sort_by_key(|(index, _)| *index);
    Ok(outputs.into_iter().map(|(_, output)| output).collect())
}
