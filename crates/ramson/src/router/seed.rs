//! RouterInfos to begin with, from a folder or a file.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

use ramson_wire::{RouterInfo, Verified};

use super::{RouterError, known};

/// Folders within folders that are looked into: i2pd's `netDb/rX`.
const MAX_DEPTH: usize = 2;
/// Files that are read at most.
const MAX_FILES: usize = 20_000;

/// What a seed held.
#[derive(Debug, Default)]
pub(super) struct Seed {
    /// RouterInfos whose signature holds.
    pub(super) infos: Vec<Verified<RouterInfo>>,
    /// Files that hold none.
    pub(super) skipped: usize,
}

impl Seed {
    /// Reads all there is in the folder `path`, as i2pd or anybody lays it out; or the zip file, the
    /// `routers.db` of another router, or the file with one RouterInfo.
    pub(super) fn read(path: &Path) -> Result<Self, RouterError> {
        let mut seed = Self::default();
        let done = if path.is_dir() {
            seed.folder(path, MAX_DEPTH)
        } else {
            seed.file(path)
        };
        done.map_err(|source| RouterError::File {
            path: path.to_owned(),
            source,
        })?;
        Ok(seed)
    }

    fn folder(&mut self, path: &Path, depth: usize) -> io::Result<()> {
        for entry in std::fs::read_dir(path)? {
            let path = entry?.path();
            if path.is_dir() {
                if depth > 0 {
                    self.folder(&path, depth - 1)?;
                }
            } else if self.has_room() {
                match File::open(&path) {
                    Ok(mut file) => self.take(&mut file),
                    Err(_) => self.skipped += 1,
                }
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path) -> io::Result<()> {
        self.content(BufReader::new(File::open(path)?))
    }

    pub(super) fn content(&mut self, mut file: impl Read + Seek) -> io::Result<()> {
        let mut begin = Vec::new();
        file.by_ref().take(16).read_to_end(&mut begin)?;
        file.rewind()?;
        if begin.starts_with(b"PK") {
            let mut archive = zip::ZipArchive::new(file).map_err(io::Error::from)?;
            for index in 0..archive.len() {
                match archive.by_index(index) {
                    Ok(entry) if entry.is_dir() => {}
                    Ok(mut entry) if self.has_room() => self.take(&mut entry),
                    Ok(_) | Err(_) => self.skipped += 1,
                }
            }
        } else if begin == known::MAGIC {
            let mut bytes = Vec::new();
            file.take(known::MAX_LEN).read_to_end(&mut bytes)?;
            // Nothing is sealed with a key that nobody has.
            let known = known::decode(&bytes, &ramson_crypto::random::bytes());
            self.infos.extend(known.infos);
            self.skipped += known.damaged;
        } else {
            self.take(&mut file);
        }
        Ok(())
    }

    fn has_room(&self) -> bool {
        self.infos.len() + self.skipped < MAX_FILES
    }

    /// Takes what may be a RouterInfo, however much there is of it.
    fn take(&mut self, from: &mut dyn Read) {
        let limit = RouterInfo::MAX_LEN as u64 + 1;
        let mut bytes = Vec::new();
        let info = match from.take(limit).read_to_end(&mut bytes) {
            Ok(_) => RouterInfo::from_bytes(&bytes).ok(),
            Err(_) => None,
        };
        match info.and_then(|info| info.verify().ok()) {
            Some(info) => self.infos.push(info),
            None => self.skipped += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use ramson_crypto::Random;

    use super::*;
    use crate::router::testing::router_info;

    #[test]
    fn folders_are_read_flat_and_as_i2pd_lays_them_out() {
        let temp = tempfile::tempdir().unwrap();
        let mut random = Random::from_seed([2; 32]);
        let (one, other) = (router_info(&mut random), router_info(&mut random));
        let deep = temp.path().join("netDb/rA");
        std::fs::create_dir_all(deep.join("further/down")).unwrap();
        std::fs::write(deep.join("routerInfo-AAA=.dat"), one.as_bytes()).unwrap();
        std::fs::write(temp.path().join("flat"), other.as_bytes()).unwrap();
        std::fs::write(deep.join("further/down/too"), other.as_bytes()).unwrap();
        std::fs::write(temp.path().join("readme"), "no RouterInfo").unwrap();
        let mut forged = other.as_bytes().to_vec();
        *forged.last_mut().unwrap() ^= 1;
        std::fs::write(temp.path().join("forged"), forged).unwrap();
        std::fs::write(temp.path().join("long"), vec![0; 100_000]).unwrap();
        let seed = Seed::read(temp.path()).unwrap();
        assert_eq!((seed.infos.len(), seed.skipped), (2, 3));
        assert!(seed.infos.contains(&one) && seed.infos.contains(&other));
        let none = Seed::read(&temp.path().join("none"));
        assert!(matches!(none, Err(RouterError::File { .. })));
    }

    #[test]
    fn zip_files_single_files_and_those_of_other_routers_are_read() {
        let temp = tempfile::tempdir().unwrap();
        let mut random = Random::from_seed([3; 32]);
        let infos = [router_info(&mut random), router_info(&mut random)];
        let path = temp.path().join("seed");

        let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
        let options = zip::write::SimpleFileOptions::default();
        zip.add_directory("rX", options).unwrap();
        for (index, info) in infos.iter().enumerate() {
            zip.start_file(format!("rX/{index}"), options).unwrap();
            zip.write_all(info.as_bytes()).unwrap();
        }
        zip.start_file("bomb", options).unwrap();
        zip.write_all(&vec![0; 10_000_000]).unwrap();
        zip.finish().unwrap();
        let seed = Seed::read(&path).unwrap();
        assert_eq!((seed.infos, seed.skipped), (infos.to_vec(), 1));

        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert!(matches!(Seed::read(&path), Err(RouterError::File { .. })));

        std::fs::write(&path, known::encode(infos.iter(), &[1; 32])).unwrap();
        assert_eq!(Seed::read(&path).unwrap().infos, infos);

        std::fs::write(&path, infos[0].as_bytes()).unwrap();
        assert_eq!(Seed::read(&path).unwrap().infos, infos[..1]);
    }
}
