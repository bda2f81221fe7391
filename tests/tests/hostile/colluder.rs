//! A member who makes common cause with the server: its own keys, MLS as it is, none of our rules.

use std::sync::atomic::Ordering;

use mls_rs::{
    Client, ExtensionList, Group, MlsMessage, MlsRules,
    client_builder::{
        BaseConfig, MakeConfig, PaddingMode, WithCryptoProvider, WithIdentityProvider, WithMlsRules,
    },
    crypto::SignatureSecretKey,
    error::MlsError,
    group::{CommitOutput, ExportedTree, GroupContext, ReceivedMessage, Roster},
    mls_rules::{CommitDirection, CommitOptions, CommitSource, EncryptionOptions, ProposalBundle},
};
use mls_rs_core::{
    crypto::CipherSuite,
    identity::{CredentialType, IdentityProvider, MemberValidationContext, SigningIdentity},
    time::MlsTime,
};
use plenary_certs::{
    mls::{
        auth_data::AuthData,
        context::{self, ChannelContext},
        credential::{self, device_of, signing_identity},
        suite::HYBRID,
    },
    signing::SigningKey,
};
use plenary_client::simulation::World;
use plenary_proto::{
    ids::{ChannelHead, ChannelId, ClientId, DeviceId, Epoch, Seq, UnixMillis},
    reply::{Record, Reply},
    request::{Append, CommitExtras, Request},
};

use crate::crooked::{Crooked, Thumb};

/// Accepts everybody and everything.
#[derive(Debug, Clone)]
pub struct Lax;

impl IdentityProvider for Lax {
    type Error = std::convert::Infallible;

    fn validate_member(
        &self,
        _: &SigningIdentity,
        _: Option<MlsTime>,
        _: MemberValidationContext<'_>,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    fn validate_external_sender(
        &self,
        _: &SigningIdentity,
        _: Option<MlsTime>,
        _: Option<&ExtensionList>,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    fn identity(
        &self,
        identity: &SigningIdentity,
        _: &ExtensionList,
    ) -> Result<Vec<u8>, Self::Error> {
        Ok(device_of(identity).map_or_else(Vec::new, |device| device.0.to_vec()))
    }

    fn valid_successor(
        &self,
        _: &SigningIdentity,
        _: &SigningIdentity,
        _: &ExtensionList,
    ) -> Result<bool, Self::Error> {
        Ok(true)
    }

    fn supported_types(&self) -> Vec<CredentialType> {
        vec![credential::DEVICE]
    }
}

impl MlsRules for Lax {
    type Error = std::convert::Infallible;

    fn filter_proposals(
        &self,
        _: CommitDirection,
        _: CommitSource,
        _: &Roster<'_>,
        _: &GroupContext,
        proposals: ProposalBundle,
    ) -> Result<ProposalBundle, Self::Error> {
        Ok(proposals)
    }

    fn commit_options(
        &self,
        _: &Roster<'_>,
        _: &GroupContext,
        proposals: &ProposalBundle,
    ) -> Result<CommitOptions, Self::Error> {
        // As an honest member would: without a path where only somebody is added.
        let only_adds =
            proposals.length() > 0 && proposals.length() == proposals.add_proposals().len();
        Ok(CommitOptions::new()
            .with_path_required(!only_adds)
            .with_allow_external_commit(true))
    }

    fn encryption_options(
        &self,
        _: &Roster<'_>,
        _: &GroupContext,
    ) -> Result<EncryptionOptions, Self::Error> {
        Ok(EncryptionOptions::new(false, PaddingMode::None))
    }
}

type Config = MakeConfig<
    WithMlsRules<Lax, WithCryptoProvider<Crooked, WithIdentityProvider<Lax, BaseConfig>>>,
>;

/// The member's device in MLS.
pub struct Colluder {
    /// Which party of the world it is.
    pub index: usize,
    /// Its device.
    pub device: DeviceId,
    /// What goes wrong in what it makes.
    pub thumb: Thumb,
    client: Client<Config>,
    /// The one group it is in.
    pub group: Option<Group<Config>>,
    /// What it has read.
    pub head: ChannelHead,
    channel: ChannelId,
    marks: u8,
}

impl Colluder {
    /// With the keys of a party, whose engine stays away.
    pub fn new(world: &World, index: usize) -> Self {
        let keys = world.keys(index);
        Self::with(index, keys.device, &keys.mls, HYBRID)
    }

    /// Whoever it says it is.
    pub fn with(index: usize, device: DeviceId, key: &SigningKey, suite: CipherSuite) -> Self {
        let thumb = Thumb::default();
        let secret = SignatureSecretKey::new([&key.seed()[..], &key.public().0[..]].concat());
        let client = Client::builder()
            .identity_provider(Lax)
            .crypto_provider(Crooked::new(thumb.clone()))
            .mls_rules(Lax)
            .extension_type(context::CHANNEL)
            .signing_identity(signing_identity(device, &key.public()), secret, suite)
            .build();
        Self {
            index,
            device,
            thumb,
            client,
            group: None,
            head: ChannelHead::EMPTY,
            channel: ChannelId([0; 16]),
            marks: 0,
        }
    }

    /// What it would say of its knowledge if it were honest.
    pub fn data(&self, world: &World) -> AuthData {
        AuthData {
            ledger: world.ledger.head(),
            time: world.now,
            seen: self.head,
            epoch_authenticator: [0; 8],
        }
    }

    /// A mark of its own for an append.
    pub fn mark(&mut self) -> ClientId {
        self.marks += 1;
        let mut mark = [self.marks; 16];
        mark[15] = self.index as u8;
        ClientId(mark)
    }

    /// A key package, as old as an honest one.
    pub fn key_package(&self, now: UnixMillis) -> Vec<u8> {
        let from = MlsTime::from(now.0 / 1000 - 3600);
        let none = ExtensionList::new;
        self.client
            .generate_key_package_message(none(), none(), Some(from))
            .unwrap()
            .to_bytes()
            .unwrap()
    }

    /// What is handed out to whoever enters a channel.
    pub fn group_state(
        world: &mut World,
        by: usize,
        channel: ChannelId,
    ) -> (Epoch, Vec<u8>, Vec<u8>, ChannelHead) {
        match world.request_as(by, Request::GroupState(channel)) {
            Ok(Reply::GroupState {
                epoch,
                head,
                group_info,
                tree,
            }) => (epoch, group_info.to_vec(), tree.to_vec(), head.head),
            other => panic!("{other:?}"),
        }
    }

    /// An external commit into a group, as it stands.
    pub fn external(
        &mut self,
        group_info: &[u8],
        tree: &[u8],
        data: &AuthData,
    ) -> Result<Vec<u8>, MlsError> {
        let tree = ExportedTree::from_bytes(tree)?.into_owned();
        let own = tree
            .roster()
            .members_iter()
            .find(|member| device_of(&member.signing_identity) == Some(self.device))
            .map(|member| member.index);
        let mut builder = self
            .client
            .external_commit_builder()?
            .with_tree_data(tree)
            .with_authenticated_data(data.encode())
            .commit_time(MlsTime::from(data.time.0 / 1000 - 3600));
        if let Some(own) = own {
            builder = builder.with_removal(own);
        }
        let (group, commit) = builder.build(MlsMessage::from_bytes(group_info)?)?;
        self.group = Some(group);
        commit.to_bytes()
    }

    /// Enters an open channel as anybody may, by the honest server.
    pub fn enter(&mut self, world: &mut World, channel: ChannelId) {
        let (epoch, info, tree, head) = Self::group_state(world, self.index, channel);
        self.head = head;
        let data = self.data(world);
        let commit = self.external(&info, &tree, &data).unwrap();
        let client_id = self.mark();
        let group_info = self.group_info();
        let append = Append {
            channel,
            client_id,
            epoch,
            bytes: commit.into(),
            commit: Some(CommitExtras {
                group_info: group_info.into(),
                welcomes: vec![],
            }),
        };
        match world.request_as(self.index, Request::Append(append)) {
            Ok(Reply::Appended { head, .. }) => self.head = head.head,
            other => panic!("{other:?}"),
        }
        self.channel = channel;
        world.run_for(1_000);
    }

    /// Joins by the welcome that waits for it.
    pub fn join(&mut self, world: &mut World) {
        let Ok(Reply::WelcomeList(list)) = world.request_as(self.index, Request::Welcomes) else {
            panic!("no list");
        };
        let welcome = list.first().expect("a welcome");
        let message = MlsMessage::from_bytes(&welcome.bytes).unwrap();
        let tree = ExportedTree::from_bytes(&welcome.tree).unwrap();
        let (group, _) = self
            .client
            .join_group(Some(tree.into_owned()), &message, None)
            .unwrap();
        self.group = Some(group);
        self.head = welcome.head;
        self.channel = welcome.channel;
    }

    /// Leaves packages at the server, so that it can be added.
    pub fn offer(&mut self, world: &mut World) {
        let packages = (0..4).map(|_| self.key_package(world.now).into()).collect();
        let put = Request::PutKeyPackages {
            packages,
            last_resort: None,
        };
        world.request_as(self.index, put).unwrap();
    }

    /// Reads on, and follows.
    pub fn follow(&mut self, world: &mut World) {
        let records = read(world, self.index, self.channel, self.head.seq);
        for record in records {
            let message = MlsMessage::from_bytes(&record.bytes).unwrap();
            let group = self.group.as_mut().unwrap();
            // What is of an epoch before, or its own, it does not need.
            let _ = group.process_incoming_message(message);
            self.head = ChannelHead {
                seq: record.seq,
                hash: plenary_certs::chain::chain(
                    &self.head.hash,
                    self.channel,
                    record.seq,
                    record.device,
                    record.client_id,
                    record.time,
                    &record.bytes,
                ),
            };
        }
    }

    /// Reads on; the plaintext of the last application message.
    pub fn opened(&mut self, world: &mut World) -> Vec<u8> {
        let records = read(world, self.index, self.channel, self.head.seq);
        let group = self.group.as_mut().unwrap();
        let mut last = None;
        for record in records {
            let message = MlsMessage::from_bytes(&record.bytes).unwrap();
            if let Ok(ReceivedMessage::ApplicationMessage(message)) =
                group.process_incoming_message(message)
            {
                last = Some(message.data().to_vec());
            }
        }
        last.expect("a message")
    }

    /// As [`Self::follow`], after a commit of its own that it did not keep: in again.
    pub fn follow_own(&mut self, world: &mut World, channel: ChannelId) {
        self.enter(world, channel);
    }

    /// A proposal to add this device, by itself, from outside the group.
    pub fn propose_itself(
        &self,
        group_info: &[u8],
        tree: &[u8],
        data: &AuthData,
        now: UnixMillis,
    ) -> Vec<u8> {
        let info = MlsMessage::from_bytes(group_info).unwrap();
        let tree = ExportedTree::from_bytes(tree).unwrap().into_owned();
        let none = ExtensionList::new;
        let from = MlsTime::from(now.0 / 1000 - 3600);
        self.client
            .external_add_proposal(&info, Some(tree), data.encode(), none(), none(), Some(from))
            .unwrap()
            .to_bytes()
            .unwrap()
    }

    /// A commit made as the caller likes; the group stays where it is.
    pub fn commit(
        &mut self,
        data: &AuthData,
        build: impl FnOnce(
            mls_rs::group::CommitBuilder<'_, Config>,
        ) -> mls_rs::group::CommitBuilder<'_, Config>,
    ) -> CommitOutput {
        let group = self.group.as_mut().unwrap();
        let builder = group
            .commit_builder()
            .authenticated_data(data.encode())
            .commit_time(MlsTime::from(data.time.0 / 1000));
        let (output, _) = build(builder).build_detached().unwrap();
        output
    }

    /// The same; the group moves on. Also its tree after.
    pub fn commit_and_move(
        &mut self,
        data: &AuthData,
        build: impl FnOnce(
            mls_rs::group::CommitBuilder<'_, Config>,
        ) -> mls_rs::group::CommitBuilder<'_, Config>,
    ) -> (CommitOutput, Vec<u8>) {
        let group = self.group.as_mut().unwrap();
        let builder = group
            .commit_builder()
            .authenticated_data(data.encode())
            .commit_time(MlsTime::from(data.time.0 / 1000));
        let output = build(builder).build().unwrap();
        group.apply_pending_commit().unwrap();
        (output, self.tree())
    }

    /// The index of a device's leaf.
    pub fn leaf_of(&self, device: DeviceId) -> u32 {
        let group = self.group.as_ref().unwrap();
        let mut members = group
            .roster()
            .members_iter()
            .collect::<Vec<_>>()
            .into_iter();
        members
            .find(|member| device_of(&member.signing_identity) == Some(device))
            .unwrap()
            .index
    }

    /// GroupInfo of the group as it is.
    pub fn group_info(&self) -> Vec<u8> {
        let group = self.group.as_ref().unwrap();
        group
            .group_info_message_allowing_ext_commit(false)
            .unwrap()
            .to_bytes()
            .unwrap()
    }

    /// The tree of the group as it is.
    pub fn tree(&self) -> Vec<u8> {
        let group = self.group.as_ref().unwrap();
        group.export_tree().to_bytes().unwrap()
    }

    /// A group of its own making for a channel.
    pub fn found(&mut self, context: &ChannelContext, now: UnixMillis) {
        let mut extensions = ExtensionList::new();
        extensions.set(context.extension());
        let time = MlsTime::from(now.0 / 1000 - 3600);
        let group = self.client.create_group_with_id(
            context.channel.0.to_vec(),
            extensions,
            ExtensionList::new(),
            Some(time),
        );
        self.group = Some(group.unwrap());
        self.channel = context.channel;
    }

    /// Seals bytes as an application message.
    pub fn seal(&mut self, data: &AuthData, content: &[u8]) -> Vec<u8> {
        let group = self.group.as_mut().unwrap();
        group
            .encrypt_application_message(content, data.encode())
            .unwrap()
            .to_bytes()
            .unwrap()
    }

    /// From now on what it seals to others cannot be opened.
    pub fn spoil_paths(&self) {
        self.thumb.hpke.store(true, Ordering::Relaxed);
    }

    /// From now on its tags are wrong.
    pub fn spoil_tags(&self) {
        self.thumb.mac.store(true, Ordering::Relaxed);
    }
}

/// Records of the honest log, as a party may read them.
pub fn read(world: &mut World, by: usize, channel: ChannelId, after: Seq) -> Vec<Record> {
    let request = Request::Read {
        channel,
        after,
        limit: 1_000,
    };
    match world.request_as(by, request) {
        Ok(Reply::Records { records, .. }) => records,
        other => panic!("{other:?}"),
    }
}
