//! Assigns saved files to the logs of the flags. State belongs to a file, so it is found even if the flag spells the path
//! differently, or leads to the file through a link or another glob.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::moment::Moment;
use super::saved_file::SavedFile;
use super::{SavedSource, SavedState};
use crate::tail::log_file::FileIdentity;
use crate::tail::log_paths::LogPaths;

impl SavedState {
    /// The saved state of each log, by the log's index. A log without state is missing.
    pub(crate) fn assign<'a>(
        &self,
        logs: impl IntoIterator<Item = (usize, &'a str, &'a LogPaths)>,
    ) -> BTreeMap<usize, SavedSource> {
        let logs: Vec<_> = logs.into_iter().collect();
        let mut assigned = BTreeMap::new();
        for (index, source, log_paths) in &logs {
            let saved = self.sources.iter().find(|saved| saved.source == *source);
            assigned.extend(saved.map(|saved| (*index, saved.spelled_as(log_paths))));
        }
        let is_known = |saved: &&SavedSource| logs.iter().any(|(_, source, _)| saved.source == *source);
        for (index, source, log_paths) in &logs {
            let listed =
                log_paths.list().into_iter().filter_map(|(_, metadata)| Some(FileIdentity::of(&metadata.ok()?)));
            let listed: BTreeSet<_> = listed.collect();
            for other in self.sources.iter().filter(|saved| !is_known(saved)) {
                let covered = |file: &&SavedFile| listed.contains(&file.identity()) || file.is_covered(log_paths);
                let files: Vec<_> = other.files.iter().filter(covered).map(|file| file.spelled_as(log_paths)).collect();
                if files.is_empty() && !other.is_covered(log_paths) {
                    continue;
                }
                let saved = assigned.entry(*index).or_insert_with(|| other.without_counts(source));
                saved.last_look = saved.last_look.min(other.last_look);
                saved.searched_since = Some(Moment(saved.searched_since().min(other.searched_since())));
                saved.files.extend(files);
            }
        }
        assigned
    }
}

impl SavedSource {
    /// The source for a log with another text, which has not counted anything itself.
    fn without_counts(&self, source: &str) -> Self {
        Self { last_look: self.last_look, searched_since: self.searched_since, ..Self::new(source) }
    }

    /// Whether the log of a source that had no file yet is covered by another log.
    fn is_covered(&self, log_paths: &LogPaths) -> bool {
        self.files.is_empty() && log_paths.spelling_of(self.source.as_ref()).is_some()
    }

    fn spelled_as(&self, log_paths: &LogPaths) -> Self {
        Self { files: self.files.iter().map(|file| file.spelled_as(log_paths)).collect(), ..self.clone() }
    }
}

impl SavedFile {
    fn is_covered(&self, log_paths: &LogPaths) -> bool {
        let paths = [&self.path, &self.target, &self.origin].into_iter().flatten();
        paths.into_iter().any(|path| log_paths.spelling_of(path).is_some())
    }

    /// The file with its paths in the log's spelling.
    fn spelled_as(&self, log_paths: &LogPaths) -> Self {
        let spelled = |path: &Option<PathBuf>| {
            path.as_ref().map(|path| log_paths.spelling_of(path).unwrap_or_else(|| path.clone()))
        };
        Self { path: spelled(&self.path), origin: spelled(&self.origin), ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::saved_file::SavedFile;
    use crate::tail::read_position::ReadPosition;

    fn saved(sources: &[(&str, &[&str])], root: &std::path::Path) -> SavedState {
        let file = |name: &&str| {
            let identity = std::fs::metadata(root.join(name))
                .map_or(FileIdentity { device: 0, inode: 0 }, |metadata| FileIdentity::of(&metadata));
            let path = Some(root.join(name));
            SavedFile { path: path.clone(), origin: path, ..SavedFile::at(identity, &ReadPosition::default()) }
        };
        let source = |(source, files): &(&str, &[&str])| SavedSource {
            files: files.iter().map(file).collect(),
            ..SavedSource::new(root.join(source).to_str().unwrap())
        };
        let state = SavedState::of(&[], &crate::state::tests::registry("common", &[]));
        SavedState { sources: sources.iter().map(source).collect(), ..state }
    }

    #[test]
    fn files_are_assigned_to_the_log_that_covers_them_whatever_its_spelling() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for name in ["a.log", "b.log"] {
            std::fs::write(root.join(name), name).unwrap();
        }
        std::os::unix::fs::symlink("a.log", root.join("link")).unwrap();
        let state = saved(&[("a.log", &["a.log", "a.log.gone"]), ("*.txt", &["b.log"]), ("new.log", &[])], root);
        let assign = |logs: &[&str]| -> Vec<(usize, Vec<String>)> {
            let texts: Vec<_> = logs.iter().map(|log| root.join(log).to_str().unwrap().to_owned()).collect();
            let paths: Vec<_> = texts.iter().map(|text| LogPaths::parse(text)).collect();
            let logs = texts.iter().zip(&paths).enumerate().map(|(index, (text, paths))| (index, text.as_str(), paths));
            let name = |file: &SavedFile| file.path.as_ref().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
            let assigned = state.assign(logs);
            assigned.into_iter().map(|(index, saved)| (index, saved.files.iter().map(name).collect())).collect()
        };
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(assign(&["a.log"]), [(0, names(&["a.log", "a.log.gone"]))], "the same text: all files");
        assert_eq!(assign(&["./a.log", "b.log"]), [(0, names(&["a.log"])), (1, names(&["b.log"]))]);
        assert_eq!(assign(&["link"]), [(0, names(&["a.log"]))], "a link");
        assert_eq!(assign(&["*.log"]), [(0, names(&["a.log", "b.log"]))], "two sources in one glob");
        assert_eq!(assign(&["./new.log"]), [(0, names(&[]))], "known, though it never existed");
        assert_eq!(assign(&["other.log"]), []);
    }
}
