//! What a process did to its disk, and what a power loss at any moment of it could have left.
//!
//! A process runs with `disk.c` before the C library: every change below a folder is written down in
//! order, sled's too. A [`Moment`] follows that log; between two syncs it knows what was certain and
//! what was not, and [`Moment::lose`] makes a folder of the one with any part of the other: nothing
//! of it, all, a beginning, some, single sectors, the newest without the oldest. Names count as
//! certain once their folder was synced, contents once their file was: what POSIX promises, no more.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use super::trial::Dice;

/// The least that a disk writes at once.
const SECTOR: u64 = 512;

/// Acknowledgements: known outside, so never lost.
pub(super) const ACKS: &str = "acks";

/// A change in the log.
#[derive(Debug, Clone)]
enum Change {
    Create(u64, PathBuf),
    MakeDir(PathBuf),
    Write(u64, u64, Vec<u8>),
    Truncate(u64, u64),
    Sync(u64),
    SyncDir(PathBuf),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    Failed(String),
}

/// The library that is loaded before all others, built once. `None` where there is no C compiler.
fn library() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<(tempfile::TempDir, PathBuf)>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let (source, library) = (dir.path().join("disk.c"), dir.path().join("disk.so"));
        fs::write(&source, include_str!("disk.c")).unwrap();
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&library, &source])
            .args(["-ldl", "-lpthread"])
            .status();
        match built {
            Ok(status) => assert!(status.success(), "disk.c does not build"),
            Err(error) => {
                println!("NOT TRIED: no C compiler here ({error}); install cc");
                return None;
            }
        }
        Some((dir, library))
    });
    built.as_ref().map(|(_, library)| library.as_path())
}

/// Which calls are to fail.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failing {
    /// The first, from 1.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// As the system numbers errors.
    pub errno: i32,
    /// The first write to fail takes half of its bytes.
    pub short: bool,
}

/// Has `command` write down what it does below `root` into `log`. `false`: cannot be done here.
pub(super) fn watch(
    command: &mut Command,
    root: &Path,
    log: &Path,
    failing: Option<Failing>,
) -> bool {
    let Some(library) = library() else {
        return false;
    };
    command
        .env("LD_PRELOAD", library)
        .env("PLENARY_DISK_ROOT", root)
        .env("PLENARY_DISK_LOG", log);
    if let Some(failing) = failing {
        let Failing {
            first,
            count,
            errno,
            short,
        } = failing;
        let text = format!("{first} {count} {errno} {}", u8::from(short));
        command.env("PLENARY_DISK_FAIL", text);
    }
    true
}

/// What a process did to its disk.
pub(super) struct Recorded(Vec<Change>);

/// A call that was made to fail.
pub struct Failed<'a> {
    pub verb: &'a str,
    pub path: &'a str,
    /// What was named last before.
    pub named: &'a Path,
    /// How often the file at `path` had been written to by then.
    pub writes: usize,
}

impl Recorded {
    pub fn read(log: &Path) -> Self {
        let bytes = fs::read(log).unwrap();
        let mut rest = &bytes[..];
        let mut changes = Vec::new();
        let path = |bytes: &[u8]| PathBuf::from(std::str::from_utf8(bytes).unwrap());
        // A process that was killed leaves half a change at the end.
        while let Some((head, body)) = rest.split_at_checked(21) {
            let number = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().unwrap());
            let len = u32::from_le_bytes(head[17..].try_into().unwrap());
            let Some((body, after)) = body.split_at_checked(len as usize) else {
                break;
            };
            let (ino, at) = (number(1), number(9));
            changes.push(match head[0] {
                b'C' => Change::Create(ino, path(body)),
                b'M' => Change::MakeDir(path(body)),
                b'W' => Change::Write(ino, at, body.to_vec()),
                b'T' => Change::Truncate(ino, at),
                b'S' => Change::Sync(ino),
                b'D' => Change::SyncDir(path(body)),
                b'U' => Change::Remove(path(body)),
                b'F' => Change::Failed(String::from_utf8_lossy(body).into_owned()),
                b'R' => {
                    let cut = body.iter().position(|byte| *byte == 0).unwrap();
                    Change::Rename(path(&body[..cut]), path(&body[cut + 1..]))
                }
                other => panic!("{other} in the log of changes"),
            });
            rest = after;
        }
        Self(changes)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The calls that were made to fail.
    pub fn failed(&self) -> Vec<Failed<'_>> {
        let mut named = Path::new("");
        let mut files: HashMap<&Path, u64> = HashMap::new();
        let mut writes: HashMap<u64, usize> = HashMap::new();
        let mut failed = Vec::new();
        for change in &self.0 {
            match change {
                Change::Rename(_, to) | Change::MakeDir(to) => named = to,
                Change::Create(ino, at) => {
                    files.insert(at, *ino);
                    writes.insert(*ino, 0);
                }
                Change::Write(ino, ..) => *writes.entry(*ino).or_default() += 1,
                Change::Failed(call) => {
                    let (verb, path) = call.split_once(' ').unwrap();
                    let ino = files.get(Path::new(path));
                    failed.push(Failed {
                        verb,
                        path,
                        named,
                        writes: ino.and_then(|ino| writes.get(ino)).copied().unwrap_or(0),
                    });
                }
                _ => {}
            }
        }
        failed
    }

    /// How many changes below `root` could have been made to fail.
    pub fn calls(&self, root: &Path) -> u64 {
        let acks = root.join(ACKS);
        let mut inode = None;
        let counted = self.0.iter().filter(|change| match change {
            Change::Create(ino, path) if *path == acks => {
                inode = Some(*ino);
                false
            }
            Change::Write(ino, ..) => inode != Some(*ino),
            _ => true,
        });
        counted.count() as u64
    }
}

#[derive(Debug, Clone)]
enum Content {
    Write(u64, Vec<u8>),
    Truncate(u64),
}

#[derive(Debug, Clone)]
enum Name {
    File(PathBuf, usize),
    Dir(PathBuf),
    Rename(PathBuf, PathBuf, usize),
    RenameDir(PathBuf, PathBuf),
    Remove(PathBuf),
}

impl Name {
    fn is_in(&self, dir: &Path) -> bool {
        let (Self::File(path, _)
        | Self::Dir(path)
        | Self::Rename(_, path, _)
        | Self::RenameDir(_, path)
        | Self::Remove(path)) = self;
        path.parent() == Some(dir)
    }
}

#[derive(Debug, Clone, Default)]
struct Names {
    files: BTreeMap<PathBuf, usize>,
    dirs: BTreeSet<PathBuf>,
}

impl Names {
    fn apply(&mut self, name: &Name) {
        match name {
            Name::File(path, file) => {
                self.files.insert(path.clone(), *file);
            }
            Name::Dir(path) => {
                self.dirs.insert(path.clone());
            }
            Name::Rename(from, to, file) => {
                self.files.remove(from);
                self.files.insert(to.clone(), *file);
            }
            Name::RenameDir(from, to) => {
                let moved = |path: &PathBuf| match path.strip_prefix(from) {
                    Ok(rest) if rest.as_os_str().is_empty() => to.clone(),
                    Ok(rest) => to.join(rest),
                    Err(_) => path.clone(),
                };
                self.files = self
                    .files
                    .iter()
                    .map(|(path, file)| (moved(path), *file))
                    .collect();
                self.dirs = self.dirs.iter().map(moved).collect();
            }
            Name::Remove(path) => {
                self.files.remove(path);
                self.dirs.remove(path);
            }
        }
    }
}

#[derive(Default)]
struct File {
    certain: Vec<u8>,
    uncertain: Vec<Content>,
}

/// How a power loss treats what was not certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    Everything,
    Nothing,
    /// The end of it, and of the last that stays some sectors.
    Tail,
    /// Any of it, whatever came before or after.
    Any,
    /// Any sectors of any of it.
    Sectors,
    /// What came first: the newest is there.
    Head,
}

/// All ways to lose.
pub(super) const LOSSES: [Loss; 6] = [
    Loss::Everything,
    Loss::Nothing,
    Loss::Tail,
    Loss::Any,
    Loss::Sectors,
    Loss::Head,
];

/// The disk at a moment of what was recorded.
pub(super) struct Moment {
    root: PathBuf,
    files: Vec<File>,
    inodes: HashMap<u64, usize>,
    certain: Names,
    uncertain: Vec<Name>,
    now: Names,
}

impl Moment {
    /// Before the first change: everything below `root` is certain. To be called before the process
    /// runs.
    pub fn before(root: &Path) -> Self {
        let mut moment = Self {
            root: root.to_path_buf(),
            files: Vec::new(),
            inodes: HashMap::new(),
            certain: Names::default(),
            uncertain: Vec::new(),
            now: Names::default(),
        };
        moment.take_in(root);
        moment.now = moment.certain.clone();
        moment
    }

    fn take_in(&mut self, dir: &Path) {
        self.certain.dirs.insert(dir.to_path_buf());
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.take_in(&path);
                continue;
            }
            let certain = fs::read(&path).unwrap();
            self.inodes
                .insert(fs::metadata(&path).unwrap().ino(), self.files.len());
            self.certain.files.insert(path, self.files.len());
            self.files.push(File {
                certain,
                uncertain: Vec::new(),
            });
        }
    }

    /// Follows the changes of `recorded` in `range`.
    pub fn follow(&mut self, recorded: &Recorded, range: std::ops::Range<usize>) {
        for change in &recorded.0[range] {
            self.change(change);
        }
    }

    fn change(&mut self, change: &Change) {
        match change {
            Change::Create(ino, path) => {
                self.inodes.insert(*ino, self.files.len());
                self.name(Name::File(path.clone(), self.files.len()));
                self.files.push(File::default());
            }
            Change::MakeDir(path) => self.name(Name::Dir(path.clone())),
            Change::Rename(from, to) => {
                let (from, to) = (from.clone(), to.clone());
                let name = match self.now.files.get(&from) {
                    Some(file) => Name::Rename(from, to, *file),
                    None => Name::RenameDir(from, to),
                };
                self.name(name);
            }
            Change::Remove(path) => self.name(Name::Remove(path.clone())),
            Change::Write(ino, at, bytes) => {
                let content = Content::Write(*at, bytes.clone());
                self.file(*ino).uncertain.push(content);
            }
            Change::Truncate(ino, len) => {
                self.file(*ino).uncertain.push(Content::Truncate(*len));
            }
            Change::Sync(ino) => {
                let file = self.file(*ino);
                for content in std::mem::take(&mut file.uncertain) {
                    apply(&mut file.certain, &content, |_| true);
                }
            }
            Change::SyncDir(dir) => {
                let (synced, still): (Vec<_>, Vec<_>) = std::mem::take(&mut self.uncertain)
                    .into_iter()
                    .partition(|name| name.is_in(dir));
                for name in &synced {
                    self.certain.apply(name);
                }
                self.uncertain = still;
            }
            Change::Failed(_) => {}
        }
    }

    fn name(&mut self, name: Name) {
        self.now.apply(&name);
        self.uncertain.push(name);
    }

    fn file(&mut self, ino: u64) -> &mut File {
        &mut self.files[self.inodes[&ino]]
    }

    /// What was acknowledged so far.
    pub fn acks(&self) -> Vec<u8> {
        let path = self.root.join(ACKS);
        let Some(file) = self.now.files.get(&path) else {
            return Vec::new();
        };
        self.content(&self.files[*file], Loss::Nothing, &mut Dice::new(0))
    }

    /// Makes in `to` what a power loss now leaves.
    pub fn lose(&self, loss: Loss, dice: &mut Dice, to: &Path) {
        let mut names = self.certain.clone();
        let kept = keep(loss, self.uncertain.len(), dice);
        for (name, kept) in self.uncertain.iter().zip(kept) {
            if kept {
                names.apply(name);
            }
        }
        let place = |path: &Path| to.join(path.strip_prefix(&self.root).unwrap());
        for dir in &names.dirs {
            // Below a folder that was lost nothing is left.
            if dir
                .ancestors()
                .skip(1)
                .all(|above| !above.starts_with(&self.root) || names.dirs.contains(above))
            {
                fs::create_dir_all(place(dir)).unwrap();
            }
        }
        for (path, file) in &names.files {
            let at = place(path);
            // The machine starts anew.
            let not_kept = |name| name == ACKS || name == "boot";
            if path.file_name().is_some_and(not_kept) || !at.parent().unwrap().is_dir() {
                continue;
            }
            fs::write(at, self.content(&self.files[*file], loss, dice)).unwrap();
        }
        fs::write(to.join(ACKS), self.acks()).unwrap();
    }

    fn content(&self, file: &File, loss: Loss, dice: &mut Dice) -> Vec<u8> {
        let mut bytes = file.certain.clone();
        let kept = keep(loss, file.uncertain.len(), dice);
        let last = kept.iter().rposition(|kept| *kept);
        for (n, (content, kept)) in file.uncertain.iter().zip(kept).enumerate() {
            match loss {
                Loss::Sectors => apply(&mut bytes, content, |_| dice.one_in(2)),
                // The length may be there before what is in it.
                _ if !kept && dice.one_in(4) && loss != Loss::Everything => {
                    apply(&mut bytes, content, |_| false);
                }
                _ if !kept => {}
                Loss::Tail if last == Some(n) => {
                    let torn = dice.below(8);
                    apply(&mut bytes, content, |sector| sector < torn);
                }
                _ => apply(&mut bytes, content, |_| true),
            }
        }
        bytes
    }
}

/// Which of `count` changes in a row stay.
fn keep(loss: Loss, count: usize, dice: &mut Dice) -> Vec<bool> {
    let cut = dice.below(count as u64 + 1) as usize;
    (0..count)
        .map(|n| match loss {
            Loss::Everything => false,
            Loss::Nothing => true,
            Loss::Tail => n < cut,
            Loss::Head => n >= cut,
            Loss::Any | Loss::Sectors => dice.one_in(2),
        })
        .collect()
}

/// Applies those sectors of a change that `stays` names, counted from its beginning. A sector is
/// there as a whole or not at all; the file is as long as the change made it.
fn apply(bytes: &mut Vec<u8>, content: &Content, mut stays: impl FnMut(u64) -> bool) {
    match content {
        Content::Truncate(len) => bytes.resize(*len as usize, 0),
        Content::Write(at, new) => {
            let end = *at as usize + new.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            let first = at / SECTOR;
            for sector in first..=(end as u64 - 1) / SECTOR {
                if stays(sector - first) {
                    let from = (sector * SECTOR).max(*at) as usize;
                    let to = (((sector + 1) * SECTOR) as usize).min(end);
                    bytes[from..to].copy_from_slice(&new[from - *at as usize..to - *at as usize]);
                }
            }
        }
    }
}

#[test]
fn what_was_synced_stays_and_nothing_else_must() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let mut moment = Moment::before(&root);
    let at = |name: &str| root.join(name);
    let changes = [
        Change::Create(7, at("a.new")),
        Change::Write(7, 0, vec![1; 1_000]),
        Change::Sync(7),
        Change::Write(7, 1_000, vec![2; 1_000]),
        Change::Rename(at("a.new"), at("a")),
    ];
    changes.iter().for_each(|change| moment.change(change));
    let lost = |moment: &Moment, loss| {
        let to = tempfile::tempdir().unwrap();
        moment.lose(loss, &mut Dice::new(1), to.path());
        fs::read(to.path().join("a")).ok().map(|bytes| {
            let second = bytes.get(1_000..).unwrap_or_default();
            assert_eq!(bytes[..1_000], [1; 1_000]);
            second.iter().filter(|byte| **byte == 2).count()
        })
    };
    assert_eq!(lost(&moment, Loss::Everything), None);
    assert_eq!(lost(&moment, Loss::Nothing), Some(1_000));
    moment.change(&Change::SyncDir(root.clone()));
    assert_eq!(lost(&moment, Loss::Everything), Some(0));
    let torn = lost(&moment, Loss::Sectors).unwrap();
    assert!(
        torn < 1_000 && [0, 24, 464, 488, 512, 536].contains(&torn),
        "{torn}"
    );
    moment.change(&Change::Sync(7));
    assert_eq!(lost(&moment, Loss::Everything), Some(1_000));
}
