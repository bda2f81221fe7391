//! The whys: where the design left a choice, what was chosen, and what it costs.
//!
//! # The ledger
//!
//! **One spelling.** A statement is read, written once more and compared. Signatures are checked
//! over the bytes received, and stand in the order of their signers, so a doubled one shows as
//! equal neighbours and the same set of signatures has one form. Whoever collects them sorts.
//!
//! **A foreign signature refuses the statement**, even where enough others signed. It is either a
//! mistake worth knowing or an attempt, and nothing is lost: it is left out and submitted again.
//!
//! **ROOT carries the version before it.** Every statement names the ROOT it is signed under; for
//! ROOT n that is n - 1, and 0 for ROOT 1, which stands for itself and is pinned by its hash.
//!
//! **REVOKE may come first.** It is accepted about members and devices that the ledger does not
//! know: two statements signed offline must not depend on the order in which they arrive, and a
//! revocation is stronger than everything. Said twice, it is answered with where it was said.
//!
//! **GRANT can be taken back.** It says `granted: true` or `false`, so that a channel's owner
//! cannot add again whom the Board took out. It fences nothing by itself: removing somebody from
//! a channel is a commit, revoking them is a REVOKE. That commit any member may make, not the owner
//! alone, or an owner who is away would keep in the channel whom the Board wants out of it; clients
//! make it before they seal anything more there.
//!
//! **A channel's rule and a device's keys never change.** The group's context holds the rule; the
//! members judge leaves by the keys. Another rule is another channel, other keys another device.
//! A second DEVICE about a device only vouches anew.
//!
//! **Every key has one purpose and one device**, checked against all devices, ROOT and SERVER:
//! a signature made for one purpose can then never be taken for another, tags or no tags.
//!
//! **Vouching stays within a member** and grows from the Board outwards: a device counts if the
//! Board, or a device that counts, has ever vouched for it. Two devices vouching for one another
//! hold up neither. How a device stands is written down whenever it changes, with the position,
//! so judging an old commit is one binary search.
//!
//! **A device may revoke** itself, what hangs on it, and what it hangs on; in the last case it falls
//! too. To hang on another means to be out without it: every line of vouches from the Board leads
//! through it. So the owner of a stolen phone puts it out from the laptop on a Saturday night, and
//! the owner of a stolen laptop from the phone, at the price that the Board must vouch for the phone
//! anew. A thief's single device can never shut the others out and stay: what does not hang on it
//! can only fall together with it. What remains to a thief is vandalism, which ends the theft. That a
//! vouch counts for ever keeps this so: vouching around first puts nothing more into one's hands.
//! Two devices by the Board each hang on neither; there the Board decides. Who signed a REVOKE
//! decides which rule holds: the statement says the same in both cases.
//!
//! **To vouch twice is refused**, since vouches are never taken back: it would only make the ledger
//! longer. With at most sixteen live devices a member (a rule and not POLICY: it bounds what a
//! stolen device can do) and the server's rate, that is all the room a thief has in it.
//!
//! **The ends of admissions** are the only thing that needs a clock, and the clock is the one that
//! the judged thing names. A voucher's is the statement's own time: back-dating it gains nothing,
//! the new device belongs to the same lapsed member.
//!
//! **A recovery can be objected to.** Its second step counts only if no ROOT came in between, so a
//! Board that is still there ends a stolen recovery role's attempt with any ROOT; a lost Board
//! cannot. The seven days are between the statements' own times: a client that sees both steps
//! sooner by its own clock has reason to say so. An honest server takes no announcement older than
//! three days and no step from the future, so a stolen role cannot date its way past the Board.
//!
//! **Experts have an end**, always: they are in for a case, and nobody must remember to put them
//! out. When an admission is to be looked at again follows from POLICY and the time of the newest
//! ADMIT; nothing ends by it, for a network that meets twice a year must not fall silent.
//!
//! # The Board's files
//!
//! **A request carries an extract of the ledger**: every ROOT, and the signed statements about
//! those it names. So the machine that never connects knows the Board's people by name, who is
//! still to sign and what would change, all of it verified back to ROOT 1, and the drafting
//! machine can make up none of it. What it cannot know is who was revoked since. Carrying the
//! whole ledger would be 4 MB.
//!
//! **Signatures of who has no say are left out**, where the ROOT is enclosed. A ROOT and what the
//! new Board says first fit one file, signed once by everybody; the ledger would refuse the old
//! keys on the new statements.
//!
//! **A contact point** is a live member of the same State or body, or whom the invitation names:
//! see [`crate::admission::Application`]. It is advice to those who sign and no rule of the ledger:
//! the first of a State has nobody at home, and a Board must not be stopped by a form. The command
//! line refuses to draft without it unless told to, and the request then says NOBODY.
//!
//! **The Board reads every request**: the invitation's secret is sealed to the devices of its
//! people and of the contact point, so that no admission hangs on one inviter's machine.
//!
//! # Linking
//!
//! **A linking code is no invitation.** Its text begins otherwise and carries another checksum, what
//! is sealed under it has labels of its own, and the server keeps it in another place: neither can be
//! passed off as the other, by whomever. It names the member and the device that made it, so a new
//! device knows whose it will be before it asks, and believes nobody else's answer.
//!
//! **The fingerprint decides, not the code.** Whoever has seen the code asks with keys of their own,
//! and the old screen shows other digits than the machine at hand. A server that has the code, too,
//! can put its own request in the place of the right one; it gains the same.
//!
//! **What is handed over is sealed to the new device's own key** and signed by the old device; the
//! code, which passed by eyes and clipboards, opens only whether one was accepted. No key of a group
//! is handed over: MLS state that exists twice uses a key twice. The new device enters by itself, or
//! is added.
//!
//! **In a direct channel a member's device may add a sibling.** Nobody new reads along, and the owner
//! may be away for a week. In a channel by GRANT the same follows from the GRANT, so that one taken
//! back ends it.
//!
//! **A proof of misuse carries the ROOTs only** (about a device also its member's statements): the two
//! statements are held against who could sign them, not against where they would have fitted. So it
//! stays small, and is checked with the hash of ROOT 1 alone.
//!
//! **Old heartbeats are good.** Whether a heartbeat still vouches is a question of today; that it
//! vouched for a head then, stays true, and is what a lapsed client falls back to.
//!
//! # Names
//!
//! **Roster keys are signed by their sender.** HPKE in base mode says nothing of who sealed. The
//! server could otherwise hand out a roster key of its own, and read what the next admission
//! seals under it.
//!
//! **Profiles are padded** to 256 bytes, or their sizes would tell some names apart.
//!
//! **Requests for admission** are sealed under a key from the invitation's secret, which inviter
//! and Board hold. Whoever intercepted the invitation reads the request; the person is recognised
//! by the fingerprint, not by the invitation.
//!
//! # Custody
//!
//! **One chain a device, tied together.** A record that many write has no single order. Each
//! device's statements about an item are numbered and linked, so it cannot take one back or say two
//! things at once unseen; each names the ends of the other chains that its signer knew, so what was
//! said before it is fixed by somebody else's hand. A server or a colleague who holds a statement
//! back leaves a gap as soon as anybody names it; the last statements of a record nobody has named
//! yet can be held back, and only a countersignature's time speaks for them.
//!
//! **The server is told an id.** A statement holds 32 random bytes, and its id is a hash of it: to
//! who has not the statement it says nothing, not even whether two acts are of one kind. The server
//! signs id, time and the root that it holds itself. It learns that some device of the channel did
//! something with an item, which it sees anyway as it hands the bytes out; for what is done later
//! (an export) it learns the moment.
//!
//! **Only what is held is countersigned.** After an item's end the server knows no root any more.
//! A statement without countersignature has its device's clock alone; a time-stamping service's
//! token may stand in.
//!
//! **A time stamp is over statement and signature** (RFC 3161): it proves that the device had signed by
//! then, and who revokes the device later finds that said before. It is no part of what is signed, so
//! anybody can take it off or put another one on; one that does not hold is left out where it
//! arrives. SHA-1 is accepted nowhere but to name which certificate in the token is the signer's, as
//! old services do. Revocation of a service's certificate is not looked up: the check is offline.
//!
//! **The manifest without its key.** Statements hash the manifest with the key left out: its
//! commitment stays. So a record can be shown to somebody who must not read the file.
//!
//! **Judged by the prefix it names.** A device must have been live in the ledger as it knew it.
//! A revocation does not undo what was signed before; and a device that names an old ledger to
//! hide one is given away by the countersignature's time.
