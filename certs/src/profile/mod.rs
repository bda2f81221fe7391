//! Names, kept out of the server's reach.
