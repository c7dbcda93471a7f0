//! Finds the pod and the container of a cgroup in its path.

/// A pod's uid and a container's id, if the path of the cgroup contains them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pod<'a> {
    pub(super) uid: Option<String>,
    pub(super) container: Option<&'a str>,
}

impl<'a> Pod<'a> {
    /// The pod of a path, such as `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID.slice/cri-containerd-ID.scope`
    /// (systemd) or `/kubepods/burstable/podUID/ID` (cgroupfs). Containers of Docker and Podman have only an id.
    pub(super) fn of(path: &'a str) -> Self {
        let segments = || path.split('/').map(|segment| segment.strip_suffix(".slice").unwrap_or(segment));
        let uid = segments().find_map(|segment| {
            let (before, uid) = segment.rsplit_once("pod")?;
            (before.is_empty() || before.ends_with('-')).then(|| uid_of(uid)).flatten()
        });
        let last = path.rsplit('/').next().unwrap_or_default();
        let last = last.strip_suffix(".scope").unwrap_or(last);
        let id = last.rsplit('-').next().unwrap_or_default();
        let is_id = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        Self { uid, container: is_id.then_some(id) }
    }
}

/// A UUID, whose dashes systemd requires to be underscores; or the hash of a static pod.
fn uid_of(text: &str) -> Option<String> {
    let uid = text.replace('_', "-");
    let digits = uid.bytes().filter(u8::is_ascii_hexdigit).count();
    let valid = digits == 32 && uid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    valid.then_some(uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_and_containers_are_found_in_the_paths_of_all_drivers() {
        let id = "0123456789abcdef".repeat(4);
        let uid = "0a1b2c3d-1111-2222-3333-444455556666";
        let systemd = uid.replace('-', "_");
        let hash = "0123456789abcdef0123456789abcdef";
        for (path, pod, container) in [
            (
                format!(
                    "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{systemd}.slice/cri-containerd-{id}.scope"
                ),
                Some(uid),
                true,
            ),
            (format!("/kubepods.slice/kubepods-pod{systemd}.slice/crio-{id}.scope"), Some(uid), true),
            (
                format!(
                    "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod{systemd}.slice"
                ),
                Some(uid),
                false,
            ),
            (format!("/kubepods/burstable/pod{uid}/{id}"), Some(uid), true),
            (format!("/kubepods/pod{hash}/{id}"), Some(hash), true),
            (format!("/system.slice/docker-{id}.scope"), None, true),
            (format!("/docker/{id}"), None, true),
            (format!("/machine.slice/libpod-{id}.scope"), None, true),
            ("/kubepods.slice".to_owned(), None, false),
            ("/system.slice/podman.service".to_owned(), None, false),
            ("/system.slice/nginx.service".to_owned(), None, false),
            (format!("/x/{}", &id[1..]), None, false),
            ("/x/podé-0".to_owned(), None, false),
        ] {
            let expected = Pod { uid: pod.map(str::to_owned), container: container.then_some(&*id) };
            assert_eq!(Pod::of(&path), expected, "{path}");
        }
    }
}
