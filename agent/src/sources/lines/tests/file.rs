//! A followed file: rotations, restarts, truncation, long lines.

use std::fs;

use super::*;

const NAME: &str = "app.log";

impl World {
    fn file(&self) -> PathBuf {
        self.path(NAME)
    }

    fn from(&self) -> String {
        format!("file:{}", self.file().display())
    }

    /// As logrotate does it: `.1` becomes `.2`, the file becomes `.1`.
    fn rotate(&self) {
        self.shift();
        fs::rename(self.file(), self.path("app.log.1")).unwrap();
    }

    fn copy_and_truncate(&self) {
        self.shift();
        fs::copy(self.file(), self.path("app.log.1")).unwrap();
        fs::OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(self.file())
            .unwrap();
    }

    fn shift(&self) {
        for number in (1..9).rev() {
            let name = |number| self.path(&format!("{NAME}.{number}"));
            // Most of them are not there.
            let _ = fs::rename(name(number), name(number + 1));
        }
    }
}

#[tokio::test]
async fn lines_are_taken_when_they_are_whole() {
    let world = World::new();
    let running = world.start(&world.from()).await;
    running.is(SourceState::Waiting).await;
    append(&world.file(), "one\r\n\nthr");
    running.has(2).await;
    assert_eq!(running.intake.view().state, SourceState::Running);
    append(&world.file(), "ee\nfour");
    running.has(3).await;
    running.stop().await;
    assert_eq!(world.logged("events"), ["one", "", "three"]);
}

#[tokio::test]
async fn a_restart_goes_on_where_the_log_ends() {
    let world = World::new();
    let mut expected = Vec::new();
    for round in 0..4 {
        let running = world.start(&world.from()).await;
        let lines: Vec<String> = (0..500).map(|line| format!("{round}/{line}")).collect();
        append(&world.file(), &(lines.join("\n") + "\n"));
        expected.extend(lines);
        running.has(500).await;
        running.stop().await;
    }
    assert_eq!(world.logged("events"), expected);
}

#[tokio::test]
async fn a_renamed_file_is_read_to_its_end_before_the_next() {
    let world = World::new();
    let running = world.start(&world.from()).await;
    append(&world.file(), "a\nb");
    running.has(1).await;
    world.rotate();
    // Who writes has it open still.
    append(&world.path("app.log.1"), "b\nc\nlast");
    running.has(3).await;
    append(&world.file(), "d\n");
    running.has(5).await;
    // Two at once: the follower is late.
    world.rotate();
    append(&world.file(), "e\n");
    world.rotate();
    append(&world.file(), "f\n");
    running.has(7).await;
    running.stop().await;
    assert_eq!(
        world.logged("events"),
        ["a", "bb", "c", "last", "d", "e", "f"]
    );
}

#[tokio::test]
async fn files_that_were_rotated_while_the_agent_was_down_are_found() {
    let world = World::new();
    append(&world.path("app.log.1"), "before it was followed\n");
    append(&world.file(), "a\n");
    let running = world.start(&world.from()).await;
    running.has(1).await;
    running.stop().await;
    append(&world.file(), "b\n");
    for line in ["c\n", "d\n", "e\n"] {
        world.rotate();
        append(&world.file(), line);
    }
    let running = world.start(&world.from()).await;
    running.has(4).await;
    running.stop().await;
    let running = world.start(&world.from()).await;
    append(&world.file(), "f\n");
    running.has(1).await;
    running.stop().await;
    assert_eq!(world.logged("events"), ["a", "b", "c", "d", "e", "f"]);
}

#[tokio::test]
async fn a_file_that_is_gone_for_good_does_not_stop_those_after_it() {
    let world = World::new();
    append(&world.file(), "a\n");
    let running = world.start(&world.from()).await;
    running.has(1).await;
    running.stop().await;
    fs::remove_file(world.file()).unwrap();
    append(&world.file(), "b\n");
    world.rotate();
    append(&world.file(), "c\n");
    let running = world.start(&world.from()).await;
    running.has(2).await;
    running.stop().await;
    assert_eq!(world.logged("events"), ["a", "b", "c"]);
}

#[tokio::test]
async fn another_file_with_the_same_inode_is_told_apart() {
    let world = World::new();
    append(&world.file(), "a first line\n");
    let running = world.start(&world.from()).await;
    running.has(1).await;
    running.stop().await;
    fs::write(world.file(), "something else altogether\nand more\n").unwrap();
    let running = world.start(&world.from()).await;
    running.has(2).await;
    // While it runs, too: begun anew and longer than before within one look.
    fs::write(world.file(), "b".repeat(100) + "\nc\n").unwrap();
    running.has(4).await;
    running.stop().await;
    let expected = ["a first line", "something else altogether", "and more"];
    assert_eq!(world.logged("events")[..3], expected);
    assert_eq!(world.logged("events")[4..], ["c"]);
}

#[tokio::test]
async fn a_truncated_file_s_rest_is_read_from_the_copy() {
    let world = World::new();
    append(&world.file(), "a\n");
    let running = world.start(&world.from()).await;
    running.has(1).await;
    running.stop().await;
    append(&world.file(), "b\nc\n");
    world.copy_and_truncate();
    append(&world.file(), "d, which makes it longer than it was\n");
    let running = world.start(&world.from()).await;
    running.has(3).await;
    world.copy_and_truncate();
    append(&world.file(), "e\n");
    running.has(4).await;
    running.stop().await;
    let expected = ["a", "b", "c", "d, which makes it longer than it was", "e"];
    assert_eq!(world.logged("events"), expected);
}

#[tokio::test]
async fn a_line_that_is_too_long_is_rejected_and_its_front_kept() {
    let world = World::new();
    let fits = "f".repeat(240_000 - "gw-1/lines/app.log".len());
    let text = format!("{fits}\n{fits}+\n{}\nafter\n", "x".repeat(1_000_000));
    append(&world.file(), &text);
    let running = world.start(&world.from()).await;
    running.has(4).await;
    let view = running.intake.view();
    assert_eq!((view.events, view.rejected), (2, 2));
    running.stop().await;
    assert!(world.logged("events") == [fits.as_str(), "after"]);
    for (rejected, byte) in world.logged("rejected").iter().zip(["f", "x"]) {
        assert!((239_000..240_000).contains(&rejected.len()));
        assert_eq!(rejected.replace(byte, ""), "");
    }
}

#[tokio::test]
async fn a_full_log_makes_it_wait_and_keep_its_place() {
    let world = World::new();
    let log_dir = world.log_dir.path();
    let options = LogOptions {
        max_bytes: crate::log::MAX_BYTES_MIN,
        ..LogOptions::new(log_dir, "gw-1")
    };
    let log = Log::open(options).unwrap();
    let (stop, stopping) = Stopping::new();
    let settings = SourceSettings {
        kind: "lines".to_owned(),
        ..SourceSettings::default()
    };
    let intake = Intake::new(&settings, log.clone(), Changes::default(), stopping).unwrap();
    let opened = open(intake.clone(), &world.from()).await.unwrap();
    let task = tokio::spawn(opened.task);
    let running = Running {
        log,
        intake,
        listen: None,
        stop,
        task,
    };
    // Numbers that do not repeat do not compress to nothing.
    let mut state = 1_u64;
    let mut line = || {
        let digits: Vec<String> = (0..500)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                format!("{state:016x}")
            })
            .collect();
        digits.concat()
    };
    let lines: Vec<String> = (0..2_500).map(|_| line()).collect();
    append(&world.file(), &(lines.join("\n") + "\n"));
    running.is(SourceState::Rejecting).await;
    let taken = running.intake.view();
    assert!(taken.events < 2_500 && taken.rejected == 0);
    running.stop().await;
    // With room it goes on, in a log that is opened again.
    let running = world.start(&world.from()).await;
    running.has(2_500 - taken.events).await;
    running.stop().await;
    assert_eq!(world.logged("events"), lines);
}
