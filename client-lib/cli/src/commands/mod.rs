//! One file a group of commands.

mod alarms;
mod aside;
mod audience;
mod audit;
mod board;
mod channels;
mod custody;
pub(crate) mod devices;
mod doctor;
mod files;
mod find;
mod handing;
mod helping;
mod join;
mod ledger;
mod link;
mod network;
mod people;
mod requests;
mod search;
mod send;
mod show;
mod stamps;
pub(crate) mod status;
mod tail;
mod talk;

use crate::{args::Command, exit::Failure, session::Context};

/// Does what was asked.
pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::Network(command) => network::run(context, command).await,
        Command::Invite(args) => people::invite(context, &args).await,
        Command::Join(args) => join::run(context, args).await,
        Command::Board(command) => board::run(context, command).await,
        Command::Requests(args) => requests::run(context, &args).await,
        Command::Members(args) => people::members(context, &args).await,
        Command::Ledger(command) => ledger::run(context, &command).await,
        Command::Audience(args) => audience::run(context, &args).await,
        Command::Channels => channels::list(context).await,
        Command::Channel(command) => channels::run(context, &command).await,
        Command::Enter(args) => channels::enter(context, &args).await,
        Command::Direct(args) => channels::direct(context, &args).await,
        Command::Devices(args) => devices::run(context, args.command).await,
        Command::Link(args) => link::run(context, args).await,
        Command::Send(args) => send::send(context, args).await,
        Command::Reply(args) => send::reply(context, args).await,
        Command::Tail(args) => tail::run(context, &args).await,
        Command::Search(args) => search::run(context, &args).await,
        Command::Talk(args) => talk::run(context, args).await,
        Command::SendFile(args) => files::send(context, args).await,
        Command::Get(args) => files::get(context, args).await,
        Command::Forward(args) => handing::forward(context, &args).await,
        Command::Kept(args) => handing::kept(context, &args).await,
        Command::Transfers(args) => handing::transfers(context, &args).await,
        Command::Receipts(args) => custody::receipts(context, &args).await,
        Command::Withdraw(args) => custody::withdraw(context, &args).await,
        Command::ExportSample(args) => custody::export_sample(context, args).await,
        Command::Custody(command) => custody::run(context, command).await,
        Command::Sync => status::sync(context).await,
        Command::Status => status::status(context).await,
        Command::Alarms(args) => alarms::run(context, &args).await,
        Command::Audit(args) => audit::run(context, args).await,
        Command::Verify(args) => audit::verify(context, args).await,
        Command::Doctor(_) => doctor::run(context).await,
        Command::Completions(args) => helping::completions(&args),
        Command::Man(args) => helping::man(&args),
    }
}
