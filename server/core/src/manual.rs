//! The whys of the core, where design.md leaves a choice.
//!
//! **Seams are `dyn`.** Store, Items and Hub are called a few times a request and their futures are
//! boxed anyway; generics would only make every type of the server carry two parameters.
//!
//! **The Hub is called, not returned.** Effects returned with the reply would reach the registry
//! after the reply's work, which is too late twice: a watch must stand before the heads are read, or
//! a record falls between; and a device must be entered before the last look at the ledger, or a
//! revocation at that moment cuts nobody. Calls never wait, so the core stays free of I/O.
//!
//! **Requests of a connection go one after the other**, but for messages and chunks. Those take their
//! place in the store's queue in the order they came and wait for the disk together: a batch of the
//! journal is then also a batch of pushes to each reader, and fewer writes to its socket are most of
//! what a large channel costs. A commit is the only thing that holds a lock over a write, and only
//! its channel's.
//!
//! **Messages take no lock.** They are checked against the group in memory and carry their epoch
//! into the store, which refuses what a commit overtook. A message may pass the fence in the
//! millisecond in which a revocation becomes durable: it was sealed before, by somebody who could not
//! know, and its authenticated data says so.
//!
//! **The look-up of a repeat comes last, not first.** The store looks (device, client id) up by itself
//! in the append; so only what would be refused is looked up before, and the usual message pays once.
//! A repeat is answered even where the sender would be refused by now: it happened.
//!
//! **Signed heads in batches without a timer.** The first to want one lets its executor run once
//! around; all that the same durable batch woke join, and one signature serves them. An idle server
//! signs one by one.
//!
//! **Rates are own code.** A bucket is ten lines as a pure function of time; governor brings its own
//! clock, and the core has none.
//!
//! **The ledger is written one statement at a time**, durable first, in memory second. Whoever is
//! dropped between the two leaves a statement in the store that the next submission takes in first.
//!
//! **Heartbeats are written under the ledger writer.** So `put_if` serves as the design's `put_max`:
//! nobody else writes the key meanwhile, and "newer" is a comparison that only this place makes. No
//! store has to know what a heartbeat is.
//!
//! **Founding.** Nobody can authenticate to a server without a ledger. So the operator hands the
//! founder an invitation like any other, valid until the first device is stated. The server takes
//! whatever ROOT 1 comes with it: participants do not trust it for that, they pin ROOT 1 by theirs.
//! The founder is a guest and ends with the first device, all of the first submission included.
//!
//! **The server's key changes between two runs**, never under open connections: they began with a
//! HELLO of the old key, and heads signed by another one would look like another server's. The
//! operator brings the Board's statement by files, which also serves when the old key is lost and the
//! server could not run to be told.
//!
//! **Same answer, same work.** AUTH: one look-up, one Ed25519 verification, against the server's own
//! key where the device is unknown (any valid point costs the same; an invalid one is refused early
//! and would tell). KNOCK: one HMAC, under the exporter where there is no invitation. What differs is
//! a map look-up and, for a knock, whether the store had the row in memory.
//!
//! **Invitations outlive their expiry for whoever has asked**, by sixty days from the request: a
//! Board meets once a month, and the answer must find its guest.
//!
//! **The roster key of a second device** comes from a device of the same member, which has it; it may
//! only fill an empty place, so that it cannot take the Board's away. Where the Board does not vouch,
//! whoever does may put it anew: what a device sealed that was revoked since opens no more. Who asks for
//! the newest and has no copy of use is named to the Board's devices, four times a minute at most.
//!
//! **Linking is relayed, apart from admissions.** A request to be linked is seen and answered by the
//! device that made the link, neither by the Board nor by a sibling: only that device can open it. A
//! second machine with the same code is refused, and the member told. Links end after a quarter of an
//! hour and are swept away with their requests.
//!
//! **What devices add to the ledger is measured by member**: sixteen at once, then two an hour, since
//! everybody keeps it for ever. Revocations are never held up; there are no more of them than
//! devices.
//!
//! **A group without a live leaf is founded anew in the same log.** An external commit takes out its
//! author's former leaf at most, so nobody could ever enter such a group again. The record that ends
//! it names every leaf it had, so that whoever has the ledger can check that none was live; the log
//! goes on, because head, chain and retention stay one thing and nobody has to be told of a second
//! log. The new group begins at epoch 0 again: the store compares the epoch that the record names,
//! the cache tells generations apart, and whoever enters forgets what it sealed for the old one. In an
//! open channel any live device may do it (a founder has no more rights than who enters), elsewhere the
//! owner's. Its own former leaf does not count: it is its own to give up, and a device that lost its
//! state would otherwise wait for ever among dead leaves.
//!
//! **Who may add is asked twice.** A commit is judged as of the ledger that it names, by everybody, for
//! ever; that ledger may be an older one in which its author still owned the channel. So the server also
//! asks its newest ledger, and answers as to a fence: read the ledger, make it again.
//!
//! **Who is not in a channel is told the same whether or not it exists**, direct channels being
//! nobody else's business. Channels on the ledger are known to all.
//!
//! **Who was taken out of a channel reads up to there.** The records before were sealed to it, and it may
//! have been away; the head it is given is that of its removal, so that it does not learn how the log
//! goes on. The removal is noted beside the log, after it: a crash in between leaves a device that is
//! refused, and has what it missed from its peers.
//!
//! **Pushes of large records carry no bytes** (no MLS message is empty). A commit of a thousand hybrid
//! leaves has a megabyte; pushed to everybody it would overrun every queue at once. It is read, on
//! whichever connection, in parts.
//!
//! **A withdrawn item leaves nothing.** No tombstone: the folder holds what there is. The proof that
//! it was here and was taken back is the countersigned statement of custody in the channel.
//!
//! **Leases apart from bytes.** What is owed to an item is one value in the store, its bytes are files:
//! no transaction spans both. So a lease is written before the first byte and ended before the last
//! one goes, and a sweep that may be repeated completes whatever a crash cut off. The lease is the
//! truth; bytes without one are nobody's. Why an item is gone is remembered for 90 days, so that whoever
//! comes late is told.
//!
//! **Collected by word.** A recipient's client says that it has an item; the server could count bytes
//! sent, but not whether they arrived and were verified. A member who lies about it deprives only
//! themselves.
//!
//! **Chunks beside the messages.** Puts and gets of a bulk connection change nothing that its next
//! message depends on, so up to eight of them are worked on at once: they share a sync, and the line
//! does not wait for the disk.
//!
//! **Items yield to chat.** Sealed bytes by the gigabyte and a message of 500 bytes are not equals where
//! both want the processor. So a bulk connection has a lane: one thread of Linux's idle class, with
//! others of the same for its disk; one of any nice value would run its slice of milliseconds to the
//! end. A scheduler within the runtime would not do: what chat waits for is the kernel's, in the middle
//! of a megabyte's hash. The clients' library does the same with its transfers, so that four of them on
//! the server's own machine yield, too. What this cannot order is the disk: a sync waits for the bytes
//! that others have under way to it. So while members talk, all transfers together keep to a rate
//! (`items.bytes_per_second_beside_chat`).
//!
//! **So do handshakes.** Two of them, hybrid, with signatures, are a third of a millisecond, and whoever
//! knocks has them for nothing. Every connection begins on a lane of nice 10 and leaves it when it is
//! settled. Before, 2,000 abusive connections beside 200 members took the 99th percentile of what
//! these waited for to 1.3, 2.2 and 1.9 times, since then to 0.9 to 1.9 in seven runs. Where chat keeps
//! every processor busy, handshakes still get a tenth.
//!
//! **Chunks in parts.** design.md gives a chunk one message; the limit stands, and what is sent is cut
//! into parts of 120 KiB like any large frame. Whole, it passed through memory once for each copy, the
//! WebSocket library kept buffers of its size, and those that it read into differed by the bytes that
//! happened to come along, so that the allocator found none of them again and held 14 to 18 MiB for a
//! window of eight.
//!
//! **Room for chunks is kept** (`plenary_proto::rooms`), sixteen of a megabyte each for what comes and for
//! what is read, and comes back by itself once nobody holds any byte of it. The allocator gave such room
//! back to the system after each chunk, which clears every page that it gives: a tenth of what a
//! gigabyte cost. What is read is framed and encrypted from where it lies.
//!
//! **A commit costs ten messages** of its sender's rate, and is charged before it is looked at. Everybody
//! processes it, and what was sealed for the epoch before is sealed again: at one message each, a member
//! could take a channel's epoch away from the others three times a second, for ever. Ten leave a burst of
//! 200 and 20 a minute, where the owner of a channel of 1,000 devices adds all of them in 20.
//!
//! **Key packages put up have a rate**, twice what a device may keep and its one of last resort a minute:
//! each is verified, and one of last resort takes no room that would bound it.
