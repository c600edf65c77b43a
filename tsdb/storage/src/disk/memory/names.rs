//! The names of a disk in memory: folders and what they hold, as they are seen and as they would be after a loss of power.

use super::content::{Content, below};
use leadline_model::entropy::Entropy;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path};
use std::sync::Arc;

/// A folder's place in [`Names`].
pub(super) type FolderId = usize;

/// The folder that holds everything.
const ROOT: FolderId = 0;

/// A file, whichever names it has.
pub(super) type Inode = Arc<Mutex<Content>>;

/// What a name stands for.
#[derive(Debug, Clone)]
pub(super) enum Node {
    File(Inode),
    Folder(FolderId),
}

/// One name that gets a meaning or loses it.
#[derive(Debug)]
struct Change {
    folder: FolderId,
    name: String,
    to: Option<Node>,
}

#[derive(Debug, Default)]
struct Folder {
    now: BTreeMap<String, Node>,
    durable: BTreeMap<String, Node>,
}

/// Every folder, and the changes that are not durable.
#[derive(Debug)]
pub(super) struct Names {
    folders: Vec<Folder>,
    /// In the order in which they were made; the changes of one entry happen together.
    pending: Vec<Vec<Change>>,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            folders: vec![Folder::default()],
            pending: Vec::new(),
        }
    }
}

fn parts(path: &Path) -> io::Result<Vec<&str>> {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => parts.push(name.to_str().ok_or(io::ErrorKind::InvalidInput)?),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            Component::ParentDir => return Err(io::ErrorKind::InvalidInput.into()),
        }
    }
    Ok(parts)
}

impl Names {
    /// What a path stands for.
    pub(super) fn find(&self, path: &Path) -> io::Result<Node> {
        let mut node = Node::Folder(ROOT);
        for name in parts(path)? {
            let Node::Folder(folder) = node else {
                return Err(io::ErrorKind::NotADirectory.into());
            };
            node = self.folders[folder]
                .now
                .get(name)
                .cloned()
                .ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(node)
    }

    /// The file at a path.
    pub(super) fn file(&self, path: &Path) -> io::Result<Inode> {
        match self.find(path)? {
            Node::File(file) => Ok(file),
            Node::Folder(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    /// The folder at a path.
    pub(super) fn folder(&self, path: &Path) -> io::Result<FolderId> {
        match self.find(path)? {
            Node::Folder(folder) => Ok(folder),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    /// What a folder holds, by name.
    pub(super) fn entries(&self, folder: FolderId) -> impl Iterator<Item = (&String, &Node)> {
        self.folders[folder].now.iter()
    }

    /// The folder a path is in, and its last part.
    fn split(&self, path: &Path) -> io::Result<(FolderId, String)> {
        let name = *parts(path)?.last().ok_or(io::ErrorKind::InvalidInput)?;
        let folder = self.folder(path.parent().unwrap_or(Path::new("")))?;
        Ok((folder, name.to_owned()))
    }

    fn change(&mut self, changes: Vec<Change>) {
        for change in &changes {
            set(&mut self.folders[change.folder].now, change);
        }
        self.pending.push(changes);
    }

    /// The file at a path, which is made when there is none.
    pub(super) fn file_or_new(&mut self, path: &Path) -> io::Result<Inode> {
        match self.file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let (folder, name) = self.split(path)?;
                let file = Inode::default();
                let to = Some(Node::File(file.clone()));
                self.change(vec![Change { folder, name, to }]);
                Ok(file)
            }
            found => found,
        }
    }

    /// Makes a folder and those above it.
    pub(super) fn create_folders(&mut self, path: &Path) -> io::Result<()> {
        let mut folder = ROOT;
        for name in parts(path)? {
            folder = match self.folders[folder].now.get(name) {
                Some(Node::Folder(there)) => *there,
                Some(Node::File(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
                None => {
                    let made = self.folders.len();
                    self.folders.push(Folder::default());
                    let (name, to) = (name.to_owned(), Some(Node::Folder(made)));
                    self.change(vec![Change { folder, name, to }]);
                    made
                }
            };
        }
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.find(from)?;
        if from == to {
            return Ok(());
        }
        if to.starts_with(from) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let ((old_folder, old_name), (folder, name)) = (self.split(from)?, self.split(to)?);
        match (&node, self.folders[folder].now.get(&name)) {
            (Node::File(_), Some(Node::Folder(_))) => return Err(io::ErrorKind::IsADirectory.into()),
            (Node::Folder(_), Some(Node::File(_))) => return Err(io::ErrorKind::NotADirectory.into()),
            (Node::Folder(_), Some(Node::Folder(there))) if !self.folders[*there].now.is_empty() => {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            _ => {}
        }
        let gone = Change {
            folder: old_folder,
            name: old_name,
            to: None,
        };
        let to = Some(node);
        self.change(vec![gone, Change { folder, name, to }]);
        Ok(())
    }

    pub(super) fn link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let file = self.file(from)?;
        if self.find(to).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let ((folder, name), to) = (self.split(to)?, Some(Node::File(file)));
        self.change(vec![Change { folder, name, to }]);
        Ok(())
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        self.file(path)?;
        let ((folder, name), to) = (self.split(path)?, None);
        self.change(vec![Change { folder, name, to }]);
        Ok(())
    }

    /// Removes what a folder holds, each name on its own, and then the folder.
    pub(super) fn remove_folder(&mut self, path: &Path) -> io::Result<()> {
        let folder = self.folder(path)?;
        self.empty(folder);
        let ((folder, name), to) = (self.split(path)?, None);
        self.change(vec![Change { folder, name, to }]);
        Ok(())
    }

    fn empty(&mut self, folder: FolderId) {
        let held: Vec<_> = self
            .entries(folder)
            .map(|(name, node)| (name.clone(), node.clone()))
            .collect();
        for (name, node) in held {
            if let Node::Folder(inner) = node {
                self.empty(inner);
            }
            self.change(vec![Change { folder, name, to: None }]);
        }
    }

    /// Makes the names of a folder durable, together with what happened in one breath with them.
    pub(super) fn sync(&mut self, folder: FolderId) {
        let (due, pending) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|changes: &Vec<Change>| changes.iter().any(|change| change.folder == folder));
        self.pending = pending;
        for change in due.iter().flatten() {
            set(&mut self.folders[change.folder].durable, change);
        }
    }

    /// Every file that has a name, each once.
    pub(super) fn files(&self) -> Vec<Inode> {
        let mut seen = BTreeSet::new();
        let mut found = Vec::new();
        self.walk(ROOT, &mut |file| {
            if seen.insert(Arc::as_ptr(file) as usize) {
                found.push(file.clone());
            }
        });
        found
    }

    fn walk(&self, folder: FolderId, visit: &mut dyn FnMut(&Inode)) {
        for (_, node) in self.entries(folder) {
            match node {
                Node::File(file) => visit(file),
                Node::Folder(inner) => self.walk(*inner, visit),
            }
        }
    }

    /// The names after a loss of power: the durable ones, and those pending that `entropy` says, with new files whose
    /// content `copy` gives.
    pub(super) fn after_crash(&self, entropy: &dyn Entropy, copy: &mut dyn FnMut(&Content) -> Vec<u8>) -> Self {
        let mut durable: Vec<_> = self.folders.iter().map(|folder| folder.durable.clone()).collect();
        for changes in self.survivors(entropy) {
            for change in changes {
                set(&mut durable[change.folder], change);
            }
        }
        rebuild(&durable, copy)
    }

    /// The pending changes that `entropy` says became durable: none, all, the first ones, or any.
    fn survivors(&self, entropy: &dyn Entropy) -> Vec<&[Change]> {
        let mut kept: Vec<_> = self.pending.iter().map(Vec::as_slice).collect();
        match below(entropy, 4) {
            0 => kept.clear(),
            1 => {}
            2 => kept.truncate(below(entropy, kept.len() + 1)),
            _ => kept.retain(|_| below(entropy, 2) == 0),
        }
        kept
    }

    /// The names as they are seen, all durable, with new files whose content `copy` gives.
    pub(super) fn duplicate(&self, copy: &mut dyn FnMut(&Content) -> Vec<u8>) -> Self {
        let now: Vec<_> = self.folders.iter().map(|folder| folder.now.clone()).collect();
        rebuild(&now, copy)
    }
}

/// Names with these folders, all durable, and with new files whose content `copy` gives.
fn rebuild(folders: &[BTreeMap<String, Node>], copy: &mut dyn FnMut(&Content) -> Vec<u8>) -> Names {
    let (mut made, mut known) = (Names::default(), BTreeMap::new());
    let mut todo = vec![(ROOT, ROOT)];
    while let Some((old, new)) = todo.pop() {
        for (name, node) in &folders[old] {
            let node = match node {
                Node::Folder(inner) => {
                    made.folders.push(Folder::default());
                    todo.push((*inner, made.folders.len() - 1));
                    Node::Folder(made.folders.len() - 1)
                }
                Node::File(file) => Node::File(
                    known
                        .entry(Arc::as_ptr(file) as usize)
                        .or_insert_with(|| Arc::new(Mutex::new(Content::durable(copy(&file.lock())))))
                        .clone(),
                ),
            };
            made.folders[new].now.insert(name.clone(), node.clone());
            made.folders[new].durable.insert(name.clone(), node);
        }
    }
    made
}

fn set(names: &mut BTreeMap<String, Node>, change: &Change) {
    match &change.to {
        Some(node) => names.insert(change.name.clone(), node.clone()),
        None => names.remove(&change.name),
    };
}
