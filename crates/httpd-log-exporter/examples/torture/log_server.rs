//! A server that writes numbered lines, and the program that rotates its log.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::random::Random;

/// How a log is rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Rotation {
    /// Rename; the server reopens its log some lines later
    Rename,
    /// Rename to a name with a date
    Dateext,
    /// Rename, with a glob as the exporter's log
    Glob,
    /// Rename and compress
    Compress,
    /// Rename and compress without keeping the time of the last write, like kubelet
    CompressNow,
    /// Rename, and compress at the next rotation
    Delaycompress,
    /// Copy and truncate
    Copytruncate,
    /// Copy and truncate while the server writes
    CopytruncateBusy,
    /// Copy, truncate and compress the copy
    CopytruncateCompress,
    /// Delete and create
    Delete,
    /// Point a symbolic link to a new file
    Link,
    /// Any of the above, except for the glob and the symbolic link
    Mixed,
}

impl Rotation {
    /// Its name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().unwrap().get_name().to_owned()
    }

    /// The value of `--access-log`, relative to the folder.
    pub(crate) fn access_log(self) -> &'static str {
        if self == Self::Glob { "access.log*" } else { "access.log" }
    }
}

/// Number of bytes in a line.
pub(crate) const LINE: u64 = 16;

/// The server and its log.
#[derive(Debug)]
pub(crate) struct LogServer {
    folder: PathBuf,
    rotation: Rotation,
    file: File,
    /// The new file, and the number of writes until the server reopens its log.
    reopened: Option<(File, u64)>,
    generation: u64,
    pub(crate) written: u64,
    pub(crate) destroyed: u64,
}

impl LogServer {
    /// Creates the log.
    pub(crate) fn new(folder: &Path, rotation: Rotation) -> Self {
        let log = folder.join("access.log");
        if rotation == Rotation::Link {
            symlink("access-0.log", &log).unwrap();
        }
        let (file, folder) = (append(&log), folder.to_path_buf());
        Self { folder, rotation, file, reopened: None, generation: 0, written: 0, destroyed: 0 }
    }

    /// Writes lines. Some of them end in a later write.
    pub(crate) fn write(&mut self, lines: u64, random: &mut Random) {
        match self.reopened.take() {
            Some((file, 0)) => self.file = file,
            Some((file, writes)) => self.reopened = Some((file, writes - 1)),
            None => {}
        }
        let text: String = (self.written..self.written + lines).map(|line| format!("l{line:06} GET 200\n")).collect();
        self.written += lines;
        let split = usize::try_from(random.below(text.len() as u64 + 1)).unwrap();
        self.file.write_all(&text.as_bytes()[..split]).unwrap();
        self.file.write_all(&text.as_bytes()[split..]).unwrap();
    }

    /// Rotates the log.
    pub(crate) fn rotate(&mut self, random: &mut Random) {
        if let Some((file, _)) = self.reopened.take() {
            self.file = file;
        }
        self.generation += 1;
        let (log, first) = (self.path("access.log"), self.path("access.log.1"));
        let kind = match self.rotation {
            Rotation::Mixed => {
                let kinds = Rotation::value_variants();
                let kinds: Vec<_> = kinds
                    .iter()
                    .filter(|kind| {
                        !matches!(kind, Rotation::Mixed | Rotation::Glob | Rotation::Link | Rotation::Dateext)
                    })
                    .collect();
                *kinds[usize::try_from(random.below(kinds.len() as u64)).unwrap()]
            }
            kind => kind,
        };
        match kind {
            Rotation::Link => {
                let target = format!("access-{}.log", self.generation);
                let file = append(&self.path(&target));
                symlink(&target, self.path("new")).unwrap();
                fs::rename(self.path("new"), log).unwrap();
                self.reopened = Some((file, random.below(10)));
                return;
            }
            Rotation::Delete => fs::remove_file(&log).unwrap(),
            Rotation::Dateext => {
                fs::rename(&log, self.path(&format!("access.log-20261120-{}", 1_795_163_170 + self.generation)))
                    .unwrap();
            }
            _ => self.shift(kind == Rotation::Delaycompress),
        }
        if matches!(kind, Rotation::Copytruncate | Rotation::CopytruncateBusy | Rotation::CopytruncateCompress) {
            fs::copy(&log, &first).unwrap();
            if kind == Rotation::CopytruncateBusy {
                let before = self.written;
                self.write(random.below(4), random);
                self.destroyed += self.written - before;
            }
            self.file.set_len(0).unwrap();
            if kind == Rotation::CopytruncateCompress {
                gzip(&first, true);
            }
            return;
        }
        if log.exists() {
            fs::rename(&log, &first).unwrap();
        }
        let compress = matches!(kind, Rotation::Compress | Rotation::CompressNow);
        let file = append(&log);
        if compress {
            self.file = file; // before the old log is compressed
            gzip(&first, kind == Rotation::Compress);
        } else {
            self.reopened = Some((file, random.below(10)));
        }
    }

    /// Gives every rotated log the next number. Compresses the one that becomes the second, if requested.
    fn shift(&self, compress: bool) {
        for number in (1..20).rev() {
            for ending in ["", ".gz"] {
                let from = self.path(&format!("access.log.{number}{ending}"));
                if from.exists() {
                    fs::rename(from, self.path(&format!("access.log.{}{ending}", number + 1))).unwrap();
                }
            }
        }
        let second = self.path("access.log.2");
        if compress && second.exists() {
            gzip(&second, true);
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

fn append(path: &Path) -> File {
    File::options().append(true).create(true).open(path).unwrap()
}

/// Compresses a file like gzip, which keeps the time of the last write, or like kubelet, which does not.
fn gzip(path: &Path, keep_time: bool) {
    let written = fs::metadata(path).unwrap().modified().unwrap();
    let compressed = path.with_file_name(format!("{}.gz", path.file_name().unwrap().to_str().unwrap()));
    let mut encoder = flate2::write::GzEncoder::new(File::create(compressed).unwrap(), flate2::Compression::fast());
    encoder.write_all(&fs::read(path).unwrap()).unwrap();
    let file = encoder.finish().unwrap();
    if keep_time {
        file.set_modified(written).unwrap();
    }
    fs::remove_file(path).unwrap();
}
