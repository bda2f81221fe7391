//! A request for admission, from the knocker to the Board.
