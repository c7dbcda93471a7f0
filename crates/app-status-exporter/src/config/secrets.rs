//! Reads secrets and certificates: inline, from files or from environment variables.

use std::path::Path;

use exporter_common::config::fields::{self, Fields};
use exporter_common::config::small_file;
use exporter_common::reload::Files;
use exporter_common::yaml::{Result, YamlError};

/// Reads secrets, and collects the files that it reads.
pub(super) struct SecretReader<'a> {
    /// The folder of the configuration file, for relative file names.
    folder: &'a Path,
    files: Files,
}

impl<'a> SecretReader<'a> {
    pub(super) fn new(folder: &'a Path, files: Files) -> Self {
        Self { folder, files }
    }

    /// All files that were read.
    pub(super) fn into_files(self) -> Files {
        self.files
    }

    /// A secret under one of three keys: inline, the name of a file, or the name of an environment variable.
    pub(super) fn secret(
        &mut self,
        fields: &mut Fields,
        [inline, file, variable]: [&'static str; 3],
    ) -> Result<Option<String>> {
        let inline_value = fields.text(inline)?;
        let file_node = fields.take(file);
        let variable_node = if variable.is_empty() { None } else { fields.take(variable) };
        match (inline_value, file_node, variable_node) {
            (None, None, None) => Ok(None),
            (Some(secret), None, None) => Ok(Some(secret)),
            (None, Some(node), None) => {
                let (line, path) = fields::text(node, file)?;
                self.file(line, file, &path).map(Some)
            }
            (None, None, Some(node)) => {
                let (line, name) = fields::text(node, variable)?;
                environment_variable(line, variable, &name).map(Some)
            }
            _ => Err(YamlError::new(fields.line, format!("{inline} is set more than once"))),
        }
    }

    /// PEM data, inline or in a file.
    pub(super) fn pem(
        &mut self,
        fields: &mut Fields,
        inline: &'static str,
        file: &'static str,
    ) -> Result<Option<Vec<u8>>> {
        Ok(self.secret(fields, [inline, file, ""])?.map(String::into_bytes))
    }

    /// The content of a file, without surrounding whitespace.
    pub(super) fn file(&mut self, line: usize, key: &str, path: &str) -> Result<String> {
        let path = self.folder.join(path);
        self.files.add(&path);
        let text = small_file::read_to_string(&path)
            .map_err(|error| YamlError::new(line, format!("{key}: cannot read {}: {error}", path.display())))?;
        Ok(text.trim().to_owned())
    }
}

pub(super) fn environment_variable(line: usize, key: &str, name: &str) -> Result<String> {
    let value = std::env::var(name);
    value.map_err(|_| YamlError::new(line, format!("{key}: the environment variable {name} is not set")))
}
