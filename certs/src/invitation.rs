//! An invitation: what somebody not yet admitted needs to knock.
