//! Why the client is as it is.
//!
//! **One engine without I/O.** Ledger, channels, outbox and MLS change together or not at all, so
//! they live in one synchronous place over one database connection. Whatever waits is outside: the
//! driver pulls requests and brings answers. The tests run several engines and the real server core
//! in one thread, with a clock of their own and a death at every transaction.
//!
//! **Two kinds of transaction.** What leaves this device must be on disk before: a restart that
//! forgot a sealed message would use its key again. What was read from the server need not be: after
//! a power loss group, message and cursor are together as they were a moment ago, and the server has
//! the rest. So sealing, queueing and group changes of one's own wait for the disk; reading does not,
//! and a page of 256 records costs one write of the group's state. A message that leaves at once waits
//! only once: what was queued is durable with its sealing, or settled where nothing was sealed.
//!
//! **One message of a channel at a time.** A sender's order is part of what is promised. Two
//! messages under way could be accepted in the other order after a refusal of the first, so the next
//! one leaves when the one before is acknowledged. Channels do not wait for one another.
//!
//! **The same bytes again.** A sealed message is kept until it is in the log and sent again as it is;
//! the server tells a repeat by its mark. It is sealed anew only when its epoch is over and
//! everything up to the head has been read without finding it: then the server cannot take it any
//! more.
//!
//! **Own records.** MLS cannot open what this device sealed. The content waits in the outbox and
//! becomes a message when the record comes back, equal to the byte, in its place in the log: so every
//! device shows one order, its own messages included.
//!
//! **Trees apart, and keys noted.** A group's tree (2.8 MB with 1,000 hybrid devices) and its state
//! (28 KB) are written when the epoch moved. mls-rs copies the tree to write the state, so a message
//! does not write it: it notes what used a key, its own or another's record, in the transaction that
//! stores the message, and a group that is loaded uses those keys up before it does anything else. The
//! state is written whole after 64 messages or 256 KiB, and once a channel was quiet for a second;
//! until then the secrets of some used keys lie in the store beside the messages that they opened.
//! Which generation a record used mls-rs tells only with a feature that does not build without past
//! epochs, so the record itself is noted. What the ledger says of the leaves is kept until a commit, a
//! statement or the end of an admission changes it. Trees lie in tables of their own, since
//! SQLite writes a row as a whole, and in tables with a row id: a search in one without reads rows to
//! compare them, pages of a tree included. Pages are authenticated by HMAC-SHA-256, which processors
//! have built in; SHA-512, SQLCipher's default, took 40 % of storing a group of 500.
//!
//! **Groups are put away.** A group of 300 devices takes a megabyte of memory. At the start each is loaded
//! once, so that damage is found, and put away; who is in it is kept, which is all that a statement or the
//! end of an admission asks for. It is loaded again when there is something to read, to seal or to change,
//! and put away ten minutes after the last message.
//!
//! **Search is an index within.** FTS5's tables lie in the same sealed database and are changed by
//! triggers in the transaction that changes the messages: no way of storing or deleting can forget it.
//! It holds no second copy of the texts; deletion takes the words out of it, too. Channel and device of a
//! message are words of a second column, and entries are numbered by time, so that FTS5 itself narrows
//! down and stops at the newest that are wanted. Accents are taken off Latin letters only, as SQLite
//! does it.
//!
//! **What convicts is kept.** Each record's entry hash (37 bytes a record with its share of the block's
//! row, measured) and, for every 256 records and at the end, the server's signed head. A signature
//! commits the server to all before it, so a head here and a head there convict it with the entry
//! hashes between them: no record is shown to anybody. Pushes carry no signature; after 64 of them, or
//! one to two minutes, the head is asked for.
//!
//! **A differing view is told once for each sender**, at the first message that shows it; the
//! discussion goes on, since every message is its sender's whatever the server says of its place.
//!
//! **A fork heals by itself, and not in haste.** A commit that does not hold may be the device's own
//! fault, a member's, or a lie that ends with the next answer. So group and place are kept, it is told
//! at once, and the record is read three times within some seconds; only then, or at once where the
//! group is damaged or gone on disk or messages of two senders in a row do not open, this device enters
//! by an external commit that takes its own old leaf out, with the same identity. What does not add up
//! to the server's own signature, a hole, or a commit under another ledger is never a reason to enter:
//! no state of this device could be at fault for it. Six returns within an hour, spread out; then the
//! channel stands still and says why, until a person enters it.
//!
//! **Out of a false log.** The return may have been into a log of the liar's, and this device may have
//! spoken there. Before each return the log is traced, as hashes, from where it was left, and if it is
//! another one, from further and further back to the last place in common. What was read after that is
//! set aside: own messages wait again (the mark makes a repeat harmless), those of others are handed on
//! by peers, hashes and signed heads stay as evidence. A log that turns out to be another one within an
//! hour after a return is left by itself. At any other time it is not: then the server has broken its
//! word about what it signed, and whether to go on with it is for people to decide; `enter` says so.
//!
//! **A device that was taken out while it was away reads its tail by itself.** The records before were
//! sealed to it, and the server gives them up to the removal; the old group is kept until they are read,
//! and a welcome waits for that. (Suspended while away, with the only two colleagues changing their
//! devices meanwhile: the simulation found nobody left who could have handed anything on.)
//!
//! **What may be handed on.** A device that is behind what the server keeps, or cannot follow, asks in the
//! channel; one of the others answers, by the rank of its hash with the ask, sealed to the asker's device,
//! since whoever entered meanwhile reads the log, too. It hands on what it has read by itself, and only messages from records at which
//! the asker's leaf was in the group as it followed the commits itself: a newcomer gets nothing of
//! before, one who was removed and came back nothing of between. Each message carries its sender's
//! signature over network, channel, epoch, mark and content, checked against the ledger: who hands on
//! can leave out and cannot invent; place and time are its word, and the message says who it was.
//! Statements of custody are not among what is handed on: they stay with their items.
//!
//! **The fence.** A client seals to nobody whom the newest ledger it has does not back, whatever the
//! server says. Who has something to send makes the removing commit first; else the rank of the
//! leaf's hash with the ledger head decides whose turn it is, 200 ms apart, so that one commits and
//! the others rarely try.
//!
//! **Out and back.** A device that the ledger had out remembers in which channels it was, and returns
//! when it is live again: into an open channel by itself, elsewhere added by the owner's devices. Where
//! none of these is inside, those who are add the owner and the members with a GRANT, in the order of
//! the same rank: so a channel heals that was given to a new owner, or whose owner was suspended. An
//! admission that ends is noticed by the clock, without anybody having to speak first.
//!
//! **A clean break is certified by who was there.** Only those inside a channel know who came and
//! left with which record; the server's part is its signature on the log at the removal, and the
//! Board's the statement. So a device notes both with every commit, says what it could not see (it
//! came later, it is not in), and signs with its custody key, which opens no connection and no
//! message. The file carries the ledger: ROOT 1 is all that a reader must know.
//!
//! **The roster key is replaced by the first live device of the Board that sees a revocation without
//! it**, in the order of a rank, five seconds apart. Whoever submits a revocation may be nobody of the
//! Board, or go offline at once; a rule for one person would leave the key in revoked hands. All
//! profiles are sealed again under it: a new device then needs one key, not a row of them, and a
//! profile that the maker does not know costs a minute's patience, not the rotation. The generation
//! is claimed at the server before its keys are stored, so two never mix; one that was claimed and
//! never came is passed over. Each copy names the ledger it was made with: no name is sealed under a
//! key older than the last revocation, and ten minutes without one are told. Suspensions and ended
//! admissions replace nothing: who comes back knew the names. Whoever was out, or not relied on, while a
//! key was made has no copy of it, and a copy by somebody who is out by now is not taken: such a device
//! asks, the server tells the Board's devices, and each hands it theirs, at most every quarter of a minute.
//!
//! **A wait ends when the clock is set back.** Waits are of seconds or minutes and by the wall clock, which
//! people set; one that ended hours from now would stop a channel for hours. Too early costs a request.
//!
//! **Sealed before, not sent after.** A message that was sealed before a revocation and never
//! acknowledged is not sent again to a group that still holds the revoked leaf: the removal comes
//! first, then it is sealed for the epoch after.
//!
//! **Heartbeats govern what a client seals, never what it accepts.** A commit is valid or not by the
//! ledger prefix and the time that it names: the same for everybody, now and in ten years, heartbeat
//! or not. If a lapse made clients refuse commits, those that had the last heartbeat and those that
//! had not would part, and the server could part them at will. So a commit that brings in somebody
//! admitted during a lapse is processed like any other, and then nothing is sealed to that group. The
//! rule (`engine/horizon.rs`): while nobody vouches, a device is sealed to, added to a channel or
//! handed names only if it was live at the last heartbeat's head and is live by the newest ledger. That
//! is a function of ledger, heartbeat and clock, with no memory of when a statement arrived, and it
//! leaves revocations their full force: less is sealed, never more. RESUME and a later end of an
//! admission count as admissions, for they let somebody in.
//!
//! **Before the first heartbeat** the ROOT that brought the heartbeat keys in stands for it: the Board
//! signed it with its time, so the server cannot make it younger. Another ROOT with other keys starts
//! the 72 hours anew and ends the word of the old key. Where ROOT names none, there are no rules.
//!
//! **What is held back keeps its place.** A TLP:RED message that waits for a heartbeat is not overtaken
//! by what was written after it: a sender's order is part of what is promised. The reason is in the
//! channel's list, in an event, and in what `send` prints.
//!
//! **The heartbeat's machine submits what it is given**, and only then complains. A statement that enough
//! of the Board have signed is the Board's will, whoever's line was down; and a server that was handed
//! it cannot say that it never came. It connects as a device of a member, because the server lets in
//! nobody else, and a heartbeat key that could also log in would be able to do something else. A
//! statement that the ledger can no longer take (another ROOT, another version) is told once and set
//! aside: the Board signs again what it still wants.
//!
//! **Two words of the Board in one place** are kept with their proof, and the stricter counts for what
//! this client seals until the Board has said a later version: an earlier end of an admission, a GRANT
//! taken back, a shorter grace. Two DEVICE statements put that device aside, for its keys are
//! uncertain; two ROOTs or SERVERs stop everything, for it is uncertain who says what.
//!
//! **A recovery counts after seven days of this device's own clock.** The ledger's seven days are
//! between the statements' own times, and who holds the recovery role can back-date the first. So a
//! device that sees the second step less than seven days after the first raises an alarm and relies on
//! the ledger only up to there, by the same horizon, until a person confirms the new Board. Waiting is
//! no confirmation: the old Board cannot object any more. New members are asked once.
//!
//! **A server with another key is asked for the ledger, and nothing else**, if it says that it has
//! statements unknown here: the Board may have named that key while this device was away. If they do
//! not name it, that is the alarm. Until then the AUTH has told it who this device is, which only
//! somebody with a certificate of the pinned CA learns, and nobody else can use.
//!
//! **Silence.** POLICY's days count from a device's newest record in a channel, by the server's times,
//! judged by the earlier one of both clocks. A device that only reads changes its leaf halfway, so it
//! is not silent and its leaf heals. The channel's owner takes the silent out, whom every judge lets
//! remove anybody, and a member its own devices: no rule of validity hangs on what a newcomer has not
//! read. Not before a key package of before has expired (61 days at least), or it would bring the
//! device in again at once. Whoever returns puts up new ones and is added again; into open channels it
//! goes by itself.
//!
//! **Clocks.** Lapses and ends are judged by this machine's clock. The server says its own at each
//! connection and may lie; colleagues' clocks are in their messages, against the server's time of the
//! same record. So a client that is five minutes off says whose clock it likely is, and does nothing.
//!
//! **Names** come after the statements that name them (the shelf is filled once the statement
//! counts), so the roster asks again after a few seconds for what is missing.
//!
//! **Names of devices stay where they were given.** They help one person to recognise a few
//! machines. To keep them alike on all would take a key that the member's devices share, and a new
//! one at every revocation; a linked device is told those that the linking one knows, and that is
//! enough. The server never has them in clear.
//!
//! **What is said of one's devices is news until it was seen.** The event comes when the statement is
//! read, also after weeks away; what nobody has looked at is kept as a position in the ledger, so the
//! next program that looks finds it. What this device said itself is no news to it.
//!
//! **All devices lost: a new device of the same member, by the Board.** The request names the member;
//! the Board sees the name that the ledger has for it, and cannot admit such a request as somebody
//! new. One file revokes every old device and accepts the new one: grants, owned channels and direct
//! ones hold, because they are the member's. What only the old devices had stored is gone.
//!
//! **Large frames in parts on the chat connection.** design.md puts them on the bulk connection.
//! Here a frame above the message limit is cut into ordinary messages, and pushes pass between the
//! parts: a joiner needs no second connection, and a chat message waits for one part at most.
//!
//! **Transfers yield.** They run on threads of their own, on Linux of the idle class: sealing
//! a gigabyte must not make a message wait, here or in another program. With nothing else to do they are
//! as fast. The threads are the process's, not a client's, which may be dropped where nobody can wait
//! for a thread. Chunks travel in parts that fit the processor's cache, and the room of one that was
//! sealed or written is used for one to come (`plenary_proto::rooms`).
//!
//! **Chosen.** rusqlite with SQLCipher: sealed pages, one file, transactions that were tested for
//! twenty years. mls-rs: the library itself asks us about each leaf and each commit, and its state
//! fits three small traits. minicbor for MIMI content: small and strict. ring for what Plenary seals
//! itself, AWS-LC (through mls-rs and rustls) for what they do. tokio for the network only.
//!
//! **Custody travels in the channel**, as messages of a kind of its own that nobody is shown: it is
//! then as private, as ordered and as durable as what was said. What a device states is signed and
//! on disk first; the server's word is asked for, and the statement goes out with it or, where the
//! item is gone, without. The sender's own statement is made when the message that hands the file
//! over is read back from the log: before that nothing was handed over.
//!
//! **The time-stamping service is asked by the client**, between the server's word and the channel: the
//! server is told of neither service nor stamp. It may take seconds and fail; then the statement goes
//! without a stamp and that is said, and the service is left alone for a minute. The file itself was
//! handed over before. Asked by reqwest, which the server's object store brings into the tree anyway.
//!
//! **Collected, verified, exported.** A file fetched for the first time is collected and verified:
//! from then on the recipient has it in the clear. Each further copy in the clear is exported:
//! fetching again, a sample opened, a bundle written. What is done with a file afterwards no program
//! can know; `deleted` says that the copies named to this client were removed.
//!
//! **The first manifest counts.** An item handed over again in a channel with another name, type or
//! digest raises an alarm, and is not fetched: two people must not hold different papers about one
//! file.
//!
//! **A bundle holds the key.** With the original in it, the key tells nothing more, and it is the
//! strongest link: the file sealed again gives the root that the server countersigned without being
//! able to read it. Without the original, message and key are left out; the statements hash the
//! manifest without its key, so the record stands all the same.
//!
//! **A bundle's page is drawn again** by whoever verifies it, and compared. Checksums alone would let
//! anybody who has the tool put other words before a judge. A page of another version of the program
//! is told to be not compared.
//!
//! **Transfers adapt by trial.** How many at once carry most depends on line and disk, which nobody
//! tells us. While others wait, one more or one fewer is tried for five seconds; more stay if they
//! carry a tenth more, fewer if they carry as much.
//!
//! **A stream waits on disk, sealed.** An item's chunks and padding follow from its size, which a
//! stream does not tell. So it is put aside first, under a key of its own that is kept in the store once
//! all of it is there: then a stop loses nothing that came down a pipe, and a plaintext copy never lay on
//! disk. A folder goes the same way; packing it again and comparing would read all of it at each stop.
//!
//! **No hash of each chunk's plaintext.** The journals keep the state of the file's SHA-256 behind each
//! chunk. A chunk read again that leads to the same state has the same bytes: it holds a nonce to its
//! plaintext, and a part on disk to what was verified, without hashing everything once more.
//!
//! **What was synced is not read back.** A resumed download trusts the bytes that were verified and
//! synced before its last checkpoint, as it trusts the disk after the end: reading 50 GB again would
//! take minutes and prove nothing about the file that somebody opens tomorrow.
//!
//! **No links in folders.** A link may lead outside at either end, and what it leads to is not what
//! the sender saw. Packing names it and stops; unpacking refuses it.
//!
//! **Nothing is fetched by itself**, small or large: what lies on a device is there because somebody
//! asked for it. Only the first KiB that a sender chose to show come with the message, at most 16. No
//! picture is reduced here: a decoder of pictures is where parsers of strangers' bytes break, and the
//! sender has a program for that at hand.
