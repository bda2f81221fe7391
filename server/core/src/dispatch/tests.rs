//! Operations through dispatch, over the memory stores, a real ledger and real MLS groups.

mod admission;
mod anew;
mod channels;
mod fence;
mod heartbeat;
mod items;
mod ledger;
mod link;
mod packages;
mod together;
