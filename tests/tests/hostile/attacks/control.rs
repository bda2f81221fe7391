//! The same harness without an attack.

use crate::{liar::Fate, trial::Trial};

/// Everything that the attacks begin with, through a liar who tells the truth.
pub fn hostile_control(trial: &mut Trial) {
    trial.lie(|_, _, _| Fate::Pass);
    let channel = trial.talking();
    trial.nothing_false();
    trial.talks(channel, &[0, 1, 2, 3]);
    assert_eq!(trial.tampered(), 0);
    for index in 0..4 {
        trial.quiet(index);
        assert_eq!(trial.world.parties[index].trouble, []);
    }
}
