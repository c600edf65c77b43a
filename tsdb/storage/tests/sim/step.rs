//! What may happen next.

use crate::model::read;
use crate::world::{DATA, RANGE_MS, Verdict, World, everything, told};
use leadline_model::matcher::{MatchOp, Matcher};
use leadline_model::port::Queryable;
use leadline_model::sample::Timestamp;
use leadline_storage::disk::Disk;
use leadline_storage::disk::faulty::Fault;
use leadline_storage::disk::memory::MemoryDisk;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Debug, Clone, Copy)]
enum Step {
    Scrape,
    Flush,
    Sync,
    Maintain,
    Query,
    Delete,
    Clean,
    Snapshot,
    Wait,
    Restart,
    Crash,
    Kill,
    Fill,
    Break,
    Mend,
    Flip,
}

const STEPS: &[(u64, Step)] = &[
    (80, Step::Scrape),
    (12, Step::Flush),
    (20, Step::Sync),
    (24, Step::Maintain),
    (12, Step::Query),
    (6, Step::Delete),
    (3, Step::Clean),
    (1, Step::Snapshot),
    (4, Step::Wait),
    (3, Step::Restart),
    (8, Step::Crash),
    (4, Step::Kill),
    (3, Step::Fill),
    (5, Step::Break),
    (6, Step::Mend),
    (3, Step::Flip),
];

impl World {
    /// Does something, perhaps with a crash in its midst.
    pub(crate) fn step(&mut self) -> Verdict {
        self.counts.steps += 1;
        let step = self.dice.weighted(STEPS);
        let torn = self.dice.chance(6) && !matches!(step, Step::Crash | Step::Kill | Step::Restart | Step::Mend);
        if torn {
            let changes = self.dice.below(40);
            self.memory.crash_after(changes, self.seeded());
        }
        self.act(step)?;
        if self.apart.chance(5) {
            self.adjust()?;
        }
        if !torn {
            return Ok(());
        }
        match self.memory.crashed() {
            Some(left) => {
                self.tell(format!("power was lost during {step:?}"));
                self.start(Some(left))
            }
            None => Ok(()),
        }
    }

    /// Does something on a sound disk, without a restart.
    pub(crate) fn calm_step(&mut self) -> Verdict {
        let calm = [
            (16, Step::Scrape),
            (2, Step::Sync),
            (3, Step::Maintain),
            (1, Step::Delete),
        ];
        let step = self.dice.weighted(&calm);
        self.act(step)
    }

    fn act(&mut self, step: Step) -> Verdict {
        match step {
            Step::Scrape => self.scrape(),
            Step::Flush => {
                self.tell("flush".to_owned());
                let flushed = self.db.flush();
                self.excused("flush", flushed).map(drop)
            }
            Step::Sync => self.sync(),
            Step::Maintain => self.maintain(),
            Step::Query => self.query(),
            Step::Delete => self.delete(),
            Step::Clean => {
                self.tell("clean tombstones".to_owned());
                let cleaned = self.db.clean_tombstones();
                self.excused("clean", cleaned).map(drop)
            }
            Step::Snapshot => self.snapshot(),
            Step::Wait => {
                let ms = self.dice.between(1, 3 * RANGE_MS) / 1000 * 1000;
                self.tell(format!("wait {ms} ms"));
                self.clock.advance(ms);
                Ok(())
            }
            Step::Restart => self.restart(),
            Step::Crash => {
                self.tell("power is lost".to_owned());
                let left = self.memory.crash(&*self.seeded());
                self.start(Some(left))
            }
            Step::Kill => self.kill(),
            Step::Fill => self.fill(),
            Step::Break => self.break_disk(),
            Step::Mend => self.mend(),
            Step::Flip => self.flip(),
        }
    }

    /// The process ends at once: what it wrote is there, synced or not.
    fn kill(&mut self) -> Verdict {
        // What a failed sync forsook is known to the process alone.
        self.mend()?;
        self.tell("the process is killed".to_owned());
        self.memory.unlock();
        self.start(Some(self.memory.clone()))
    }

    fn scrape(&mut self) -> Verdict {
        self.clock.advance(self.dice.between(1, self.pace) * 1000);
        let writer = self.dice.index(self.writers.len());
        self.commit(writer)
    }

    fn sync(&mut self) -> Verdict {
        self.tell("sync".to_owned());
        let synced = self.db.sync();
        if self.excused("sync", synced)?.is_some() && !self.memory.is_crashed() {
            self.synced();
        }
        Ok(())
    }

    pub(crate) fn maintain(&mut self) -> Verdict {
        self.tell("maintain".to_owned());
        let before = self.on_disk()?;
        // Where the disk is full, age counts from there.
        let newest = self.db.head().max_time().filter(|_| self.troubled);
        let done = self.db.maintain();
        let after = self.on_disk()?;
        // Where the newest block on the disk ends, ms.
        let ends = before.values().chain(after.values()).map(|block| block.end);
        let end = ends.max().max(newest).unwrap_or(Timestamp::MIN);
        self.model.expired(end.saturating_sub(self.settings.retention_ms));
        self.outgrown(&before, &done, end)?;
        self.look_at_head()?;
        self.counts.cuts += done.cut.len() as u64;
        self.counts.compactions += u64::from(done.compacted.is_some());
        self.counts.evictions += done.series_evicted as u64;
        self.counts.removed += done.removed.len() as u64;
        self.tell(format!("  {done:?}"));
        if !self.troubled && !done.failures.is_empty() {
            return Err(format!("maintain: {:?}", done.failures));
        }
        if !self.troubled { self.check_all() } else { Ok(()) }
    }

    /// Some matchers.
    fn matchers(&self) -> Vec<Matcher> {
        let name = format!("metric_{}", self.dice.below(3));
        let job = format!("job-{}", self.dice.below(4));
        let pod = format!("pod-[0-9]*{}", self.dice.below(10));
        let mut matchers = match self.dice.below(5) {
            0 => return everything(),
            1 => vec![Matcher::equal("__name__", name)],
            2 => vec![Matcher::equal("job", job), Matcher::not_equal("__name__", name)],
            3 => vec![Matcher::equal("noise", ""), Matcher::equal("__name__", name)],
            _ => everything(),
        };
        let op = if self.dice.chance(50) {
            MatchOp::Regex
        } else {
            MatchOp::NotRegex
        };
        matchers.extend(Matcher::new("pod", op, pod).ok().filter(|_| self.dice.chance(60)));
        matchers
    }

    /// Some window of time, ms, both ends included.
    fn window(&self) -> (Timestamp, Timestamp) {
        let now = self.now();
        let from = now - self.dice.between(0, 20 * RANGE_MS);
        match self.dice.below(4) {
            0 => (Timestamp::MIN, Timestamp::MAX),
            1 => (from, now),
            2 => (Timestamp::MIN, from),
            _ => (from, from + self.dice.between(0, 4 * RANGE_MS)),
        }
    }

    fn query(&mut self) -> Verdict {
        let (matchers, (mint, maxt)) = (self.matchers(), self.window());
        self.tell(format!("query {} from {mint} to {maxt}", words(&matchers)));
        let answer = read(&*self.db, &matchers, mint, maxt);
        if let Some(dump) = self.excused("query", answer)? {
            self.model.check(&dump?, &matchers, (mint, maxt))?;
        }
        self.query_exemplars(&matchers, (mint, maxt))?;
        let values = self.db.label_values("pod", &matchers, mint, maxt);
        let Some(values) = self.excused("label values", values)? else {
            return Ok(());
        };
        let known = |pod: &String| self.model.series.keys().any(|labels| labels.get("pod") == Some(pod));
        match values.iter().find(|pod| !known(pod)) {
            Some(pod) => Err(format!("pod {pod} was never written")),
            None => self.complete(&values, &matchers, mint, maxt),
        }
    }

    /// Whether the pods of all samples that must be there are among `values`.
    fn complete(&self, values: &[String], matchers: &[Matcher], mint: Timestamp, maxt: Timestamp) -> Verdict {
        for (labels, times) in self.model.required() {
            let within = times.iter().any(|&t| mint <= t && t <= maxt);
            let pod = labels.get("pod").unwrap_or("");
            if within && leadline_model::matcher::all_match(matchers, labels) && !values.iter().any(|v| v == pod) {
                return Err(format!("pod {pod} is missing among the label values {values:?}"));
            }
        }
        Ok(())
    }

    fn delete(&mut self) -> Verdict {
        let (matchers, (mint, maxt)) = (self.matchers(), self.window());
        self.tell(format!("delete {} from {mint} to {maxt}", words(&matchers)));
        let deleted = self.db.delete_series(&matchers, mint, maxt);
        let whole = self.excused("delete", deleted)?.is_some();
        self.model.deleted(&matchers, mint, maxt, whole);
        Ok(())
    }

    /// A copy of everything, which is a store of its own and is removed again.
    fn snapshot(&mut self) -> Verdict {
        self.tell("snapshot".to_owned());
        let made = self.db.snapshot(true);
        let Some(name) = self.excused("snapshot", made)? else {
            return Ok(());
        };
        let path = Path::new(DATA).join("snapshots").join(name);
        let disk = self.memory.duplicate();
        let copy = told(
            "open of a snapshot",
            leadline_storage::db::Db::read_only(std::sync::Arc::new(disk), &path, self.clock.clone()),
        )?;
        let all = (Timestamp::MIN, Timestamp::MAX);
        let dump = told("read of a snapshot", read(&copy, &everything(), all.0, all.1))??;
        if !self.troubled {
            self.model.check(&dump, &[], all)?;
        }
        let removed = self.memory.remove_dir_all(&path);
        told("removal of a snapshot", removed)
    }

    fn restart(&mut self) -> Verdict {
        self.mend()?;
        self.tell("clean restart".to_owned());
        told("close", self.db.close())?;
        self.synced();
        self.looked_at()?;
        self.start(None)
    }

    /// A look at the closed directory changes nothing of it and sees everything.
    fn looked_at(&mut self) -> Verdict {
        let before = contents_of_all(&self.memory)?;
        let disk = std::sync::Arc::new(self.memory.clone());
        let only = told(
            "read-only open",
            leadline_storage::db::Db::read_only(disk, Path::new(DATA), self.clock.clone()),
        )?;
        let all = (Timestamp::MIN, Timestamp::MAX);
        let dump = told("read-only select", read(&only, &everything(), all.0, all.1))??;
        self.model.check(&dump, &[], all)?;
        if contents_of_all(&self.memory)? != before {
            return Err("a look at the directory changed it".to_owned());
        }
        Ok(())
    }

    fn fill(&mut self) -> Verdict {
        let room = self.dice.below(6_000);
        self.tell(format!("the disk has {room} bytes left"));
        self.memory.limit(Some(self.memory.used() + room));
        self.troubled = true;
        Ok(())
    }

    fn break_disk(&mut self) -> Verdict {
        let fault = [
            Fault::TornWrite,
            Fault::Full,
            Fault::Failure,
            Fault::FailedSync,
            Fault::BadSpot,
        ][self.dice.index(5)];
        let sound = self.dice.below(30);
        self.troubled = true;
        if fault == Fault::FailedSync && self.dice.chance(50) {
            let sound = sound / 4;
            self.tell(format!("a write-back fails after {sound} syncs"));
            self.memory.fail_sync(sound);
        } else {
            self.tell(format!("{fault:?} after {sound} operations"));
            self.faulty.arm(fault, sound);
        }
        Ok(())
    }

    /// A query meets a bad bit or a short read: it is right, or it fails.
    fn flip(&mut self) -> Verdict {
        self.mend()?;
        let fault = [Fault::BitFlip, Fault::ShortRead][self.dice.index(2)];
        self.troubled = true;
        self.faulty.arm(fault, self.dice.below(12));
        self.tell(format!("{fault:?} is met by"));
        self.query()?;
        self.mend()
    }

    /// Everything once more, after a clean restart and a crash.
    pub(crate) fn finish(&mut self) -> Verdict {
        self.mend()?;
        self.sync()?;
        self.check_all()?;
        self.restart()?;
        self.check_all()?;
        self.tell("power is lost at the end".to_owned());
        let left = self.memory.crash(&*self.seeded());
        self.start(Some(left))?;
        self.check_all()?;
        self.counts.compared = self.model.compared;
        (self.counts.exemplars, self.counts.metadata) = self.extras.compared;
        Ok(())
    }
}

fn words(matchers: &[Matcher]) -> String {
    matchers.iter().map(|m| format!("{m} ")).collect()
}

/// The bytes of a file.
pub(crate) fn contents(disk: &MemoryDisk, path: &Path) -> Result<Vec<u8>, String> {
    let file = told("open", disk.open(path))?;
    let mut bytes = vec![0; told("length", file.len())? as usize];
    told("read", file.read_exact_at(&mut bytes, 0))?;
    Ok(bytes)
}

/// The bytes of every file by its path.
pub(crate) fn contents_of_all(disk: &MemoryDisk) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let (mut all, mut todo) = (BTreeMap::new(), vec![Path::new("/").to_owned()]);
    while let Some(dir) = todo.pop() {
        for entry in told("list", disk.list(&dir))? {
            let path = dir.join(&entry.name);
            if entry.is_dir {
                all.insert(format!("{}/", path.display()), Vec::new());
                todo.push(path);
            } else {
                all.insert(path.display().to_string(), contents(disk, &path)?);
            }
        }
    }
    Ok(all)
}
