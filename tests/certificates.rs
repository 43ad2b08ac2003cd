//! Certificates that are wrong: the link stays down and says why, the agent's sources are served
//! all the same, nobody else is touched, and once the certificate is put right everything that was
//! acknowledged arrives, once and in order.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use headwater_broker::cert;
use headwater_tests::process::{GIVE_UP, run_to_end};
use headwater_tests::stack::Stack;
use headwater_tests::uplink::Uplink;
use headwater_tests::{consume, http};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType};

const TOPIC: &str = "plant/a";

/// A stack whose agent has delivered something, and everything published so far.
struct Scene {
    stack: Stack,
    published: Vec<String>,
}

impl Scene {
    fn start() -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_headwater-node"));
        let mut scene = Self {
            stack: Stack::start(program, "", "").expect("a stack"),
            published: Vec::new(),
        };
        scene.publish();
        scene.stack.wait_until_drained().expect("the link is good");
        scene
    }

    /// Publishes to the agent, on a new connection, and is told that it is safe.
    fn publish(&mut self) {
        let door = self.stack.agent().address("mqtt");
        let mut source = Uplink::connect(door, "sensor").expect("intake goes on");
        for _ in 0..20 {
            let value = self.published.len().to_string();
            let answer = source.publish(TOPIC, value.as_bytes()).expect("an answer");
            assert_eq!(answer.reason, 0, "intake goes on");
            self.published.push(value);
        }
    }

    fn restart_broker(&mut self) {
        let broker = self.stack.broker.take();
        broker.expect("it runs").terminate().expect("an end");
        self.stack.start_broker().expect("a broker");
    }

    fn restart_agent(&mut self) {
        let agent = self.stack.agent.take();
        agent.expect("it runs").terminate().expect("an end");
        self.stack.start_agent().expect("an agent");
    }

    /// Puts a certificate in the place of the stack's `name`; gives a way back.
    fn replace(&self, name: &str, with: &Pair) -> Pair {
        let before = Pair::read(self.stack.folder.path(), name);
        with.write(self.stack.folder.path(), name);
        before
    }

    /// Waits until the status says why the link is down.
    #[track_caller]
    fn link_says(&self, sentence: &str) {
        let begun = Instant::now();
        loop {
            let status = http::json(self.stack.agent().address("http"), "/status");
            let link = status.expect("a status")["link"].take();
            let error = link["error"].as_str().unwrap_or_default();
            if error.contains(sentence) {
                assert_ne!(link["state"], "up");
                return;
            }
            assert!(begun.elapsed() < GIVE_UP, "not {sentence:?}: {link}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What `check` refuses the settings with.
    #[track_caller]
    fn check_says(&self, sentence: &str) {
        let settings = self.stack.path("agent.toml").display().to_string();
        let words = ["check", "--config", &settings];
        let (code, log) = run_to_end(&self.stack.program, "agent", &words).expect("it ends");
        assert!(code == Some(2) && log.contains(sentence), "{code:?}: {log}");
    }

    /// Everything that was acknowledged is there.
    fn finish(mut self) {
        self.publish();
        self.stack.wait_until_drained().expect("the link is good");
        let kafka = self.stack.broker().address("kafka");
        let records = consume::everything(kafka, "events").expect("records");
        let ours = records
            .into_iter()
            .filter(|record| record.key.as_deref() == Some(TOPIC.as_bytes()));
        let values: Vec<String> = ours
            .map(|record| String::from_utf8(record.value.expect("a value")).expect("text"))
            .collect();
        assert_eq!(values, self.published);
    }
}

/// A connection of somebody else, who goes on undisturbed.
struct Bystander(Uplink);

impl Bystander {
    fn arrive(scene: &Scene) -> Self {
        let door = scene.stack.broker().address("mqtt");
        let mut link = Uplink::connect(door, "bystander").expect("a link");
        assert_eq!(link.resume("events", 0, 1).expect("an answer").reason, 0);
        Self(link)
    }

    fn goes_on(mut self) {
        let batch = self.0.make_batch("events", 0, &["undisturbed"]);
        let answer = self.0.batch("events", &batch).expect("an answer");
        assert_eq!(answer.reason, 0);
    }
}

/// A certificate and its key, PEM.
struct Pair {
    cert: String,
    key: String,
}

impl Pair {
    fn read(folder: &Path, name: &str) -> Self {
        let read = |kind| std::fs::read_to_string(folder.join(format!("{name}.{kind}")));
        Self {
            cert: read("pem").expect("a certificate"),
            key: read("key").expect("a key"),
        }
    }

    fn write(&self, folder: &Path, name: &str) {
        let write = |kind, text| std::fs::write(folder.join(format!("{name}.{kind}")), text);
        write("key", &self.key).expect("a key");
        write("pem", &self.cert).expect("a certificate");
    }

    /// Signed by an authority that nobody knows.
    fn of_another_authority(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        cert::create_ca(folder.path()).expect("an authority");
        if name == "server" {
            cert::create_server(folder.path(), &["127.0.0.1".to_owned()])
        } else {
            cert::create_device(folder.path(), name)
        }
        .expect("a certificate");
        Self::read(folder.path(), name)
    }

    /// Signed by the stack's own authority, and valid until some years ago.
    fn expired(stack: &Stack, name: &str) -> Self {
        let ca = Self::read(stack.folder.path(), "ca");
        let ca_key = KeyPair::from_pem(&ca.key).expect("a key");
        let issuer = Issuer::from_ca_cert_pem(&ca.cert, ca_key).expect("an authority");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        let key = KeyPair::generate().expect("a key");
        Self {
            cert: params
                .signed_by(&key, &issuer)
                .expect("a certificate")
                .pem(),
            key: key.serialize_pem(),
        }
    }
}

/// The broker is started with a wrong certificate, and later with the right one.
fn wrong_server(wrong: impl Fn(&Stack) -> Pair, sentence: &str) {
    let mut scene = Scene::start();
    let right = scene.replace("server", &wrong(&scene.stack));
    scene.restart_broker();
    let bystander = Bystander::arrive(&scene);
    scene.link_says(sentence);
    scene.publish();
    bystander.goes_on();
    scene.replace("server", &right);
    scene.restart_broker();
    scene.finish();
}

/// The device gets a wrong certificate while it runs, and then the right one again.
fn wrong_device(wrong: impl Fn(&Stack) -> Pair, sentence: &str) {
    let mut scene = Scene::start();
    let bystander = Bystander::arrive(&scene);
    let right = scene.replace("gw-1", &wrong(&scene.stack));
    scene.stack.to_broker.cut();
    scene.link_says(sentence);
    scene.publish();
    bystander.goes_on();
    scene.replace("gw-1", &right);
    scene.finish();
}

#[test]
fn a_server_of_another_authority() {
    wrong_server(
        |_| Pair::of_another_authority("server"),
        "The broker's certificate is not from the authority in uplink.ca",
    );
}

#[test]
fn an_expired_server() {
    wrong_server(
        |stack| Pair::expired(stack, "127.0.0.1"),
        "The broker's certificate has expired",
    );
}

#[test]
fn a_device_of_another_authority() {
    wrong_device(
        |_| Pair::of_another_authority("gw-1"),
        "The broker does not know the authority of this device's certificate",
    );
}

#[test]
fn an_expired_device() {
    wrong_device(
        |stack| Pair::expired(stack, "gw-1"),
        "this device's certificate expired on",
    );
}

/// A good certificate of the right authority, of somebody else.
fn of_another_device(stack: &Stack) -> Pair {
    let folder: PathBuf = stack.folder.path().to_owned();
    cert::create_device(&folder, "gw-2").expect("a certificate");
    Pair::read(&folder, "gw-2")
}

#[test]
fn another_devices_certificate() {
    let says = r#"says "gw-2""#;
    wrong_device(of_another_device, says);

    // The same from the agent's start on: nothing is sent until it is started with the right one.
    let mut scene = Scene::start();
    let right = scene.replace("gw-1", &of_another_device(&scene.stack));
    scene.check_says(says);
    scene.restart_agent();
    scene.link_says(says);
    let sent = scene.stack.to_broker.bytes();
    scene.publish();
    scene.link_says(says);
    assert_eq!(scene.stack.to_broker.bytes(), sent);
    scene.replace("gw-1", &right);
    scene.restart_agent();
    scene.finish();
}

#[test]
fn settings_that_name_another_device() {
    let mut scene = Scene::start();
    let settings = scene.stack.path("agent.toml");
    let right = std::fs::read_to_string(&settings).expect("settings");
    std::fs::write(&settings, format!("device = \"gw-2\"\n{right}")).expect("settings");
    let says = r#"This device is "gw-1" by its log, but the settings say device = "gw-2""#;
    scene.check_says(says);
    scene.restart_agent();
    scene.link_says(says);
    scene.publish();
    std::fs::write(&settings, right).expect("settings");
    scene.restart_agent();
    scene.finish();

    // Where there is no log yet, it is the certificate that says otherwise.
    let mut scene = Scene::start();
    let right = std::fs::read_to_string(settings_of(&scene)).expect("settings");
    let other = right.replace("/agent\"", "/new\"");
    let says = r#"This device is "gw-2", but the certificate"#;
    std::fs::write(settings_of(&scene), format!("device = \"gw-2\"\n{other}")).expect("settings");
    scene.check_says(says);
    scene.restart_agent();
    scene.link_says(says);
    scene.published.clear();
    scene.publish();
}

fn settings_of(scene: &Scene) -> PathBuf {
    scene.stack.path("agent.toml")
}
