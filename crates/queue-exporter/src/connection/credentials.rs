//! The user name and the password for the queue system. They are never logged.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use exporter_common::config::small_file;
use exporter_common::{Scrape, UsageError};
use percent_encoding::percent_decode_str;
use reqwest::Url;

use crate::read_error::{Reason, read_error};

/// A user name, and the source of its password.
pub(crate) struct Credentials {
    username: String,
    password: Password,
}

enum Password {
    Fixed(String),
    /// Reloaded for every read of the queues: secret files are replaced while programs run.
    File {
        path: PathBuf,
        last: Mutex<String>,
    },
}

impl Credentials {
    /// From the flags, or else from `user:password@` in the URL. Removes them from the URL.
    pub(crate) fn new(url: &mut Url, username: Option<String>, file: Option<PathBuf>) -> Result<Option<Self>> {
        let named = username.is_some() || !url.username().is_empty();
        if file.is_some() && !named {
            bail!(UsageError::new("--queue.password-file requires a user name: set --queue.username"));
        }
        let found = Self::optional_name(url, username, file)?;
        Ok(found.filter(|it| !it.username.is_empty()))
    }

    /// The same for a system that accepts a password without a user name, which is then empty.
    pub(crate) fn optional_name(
        url: &mut Url,
        username: Option<String>,
        file: Option<PathBuf>,
    ) -> Result<Option<Self>> {
        let in_url = (decoded(url.username())?, url.password().map(decoded).transpose()?);
        if url.set_username("").and_then(|()| url.set_password(None)).is_err() && !in_url.0.is_empty() {
            bail!("--queue.url has a user name but no host");
        }
        let username = username.unwrap_or(in_url.0);
        if username.is_empty() && file.is_none() && in_url.1.is_none() {
            return Ok(None);
        }
        let password = match file {
            Some(path) => {
                let last = Mutex::new(read(&path)?);
                Password::File { path, last }
            }
            None => Password::Fixed(in_url.1.unwrap_or_default()),
        };
        Ok(Some(Self { username, password }))
    }

    /// Reloads the password file.
    pub(crate) async fn refresh(&self, scrape: &Scrape) -> Result<()> {
        if let Password::File { path, last } = &self.password {
            let path = path.clone();
            let read = scrape.blocking(move || read(&path)).await;
            let password = read.map_err(|error| read_error(Reason::Auth, format!("{error:#}")))?;
            *last.lock().unwrap_or_else(PoisonError::into_inner) = password;
        }
        Ok(())
    }

    /// The user name and the current password.
    pub(crate) fn current(&self) -> (&str, String) {
        let password = match &self.password {
            Password::Fixed(password) => password.clone(),
            Password::File { last, .. } => last.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        };
        (&self.username, password)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

fn decoded(text: &str) -> Result<String> {
    let decoded = percent_decode_str(text).decode_utf8().ok();
    decoded.map(Into::into).context("the user name or password in --queue.url is not UTF-8")
}

/// Reads the password file.
fn read(path: &Path) -> Result<String> {
    small_file::read_secret(path).with_context(|| format!("cannot read --queue.password-file {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(url: &str, username: Option<&str>, file: Option<PathBuf>) -> Result<Option<(String, String)>> {
        let mut url = Url::parse(url).unwrap();
        let credentials = Credentials::new(&mut url, username.map(str::to_owned), file)?;
        assert!(url.username().is_empty() && url.password().is_none(), "{url}");
        Ok(credentials.map(|credentials| {
            let (username, password) = credentials.current();
            (username.to_owned(), password)
        }))
    }

    fn pair(username: &str, password: &str) -> Option<(String, String)> {
        Some((username.to_owned(), password.to_owned()))
    }

    #[test]
    fn credentials_come_from_the_flags_or_the_url() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "from file\n").unwrap();
        assert_eq!(credentials("http://h/", None, None).unwrap(), None);
        assert_eq!(credentials("http://me:p%40ss@h/", None, None).unwrap(), pair("me", "p@ss"));
        assert_eq!(credentials("http://me@h/", None, None).unwrap(), pair("me", ""));
        let both = credentials("http://me:x@h/", Some("you"), Some(file)).unwrap();
        assert_eq!(both, pair("you", "from file"));
    }

    #[test]
    fn invalid_credentials_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = |file: PathBuf, username| credentials("http://h/", username, Some(file)).unwrap_err().to_string();
        assert!(error(folder.path().join("missing"), Some("me")).starts_with("cannot read --queue.password-file"));
        assert!(error(folder.path().to_owned(), Some("me")).starts_with("cannot read --queue.password-file"));
        assert!(error(folder.path().join("any"), None).contains("set --queue.username"));
    }
}
