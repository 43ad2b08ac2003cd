//! Apache Kafka, one node with KRaft, from its published artifacts.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use super::{Running, free_address, program};
use crate::process::Process;

/// The version that is compared.
pub const VERSION: &str = "4.3.0";
/// As its own start script has it.
const HEAP: &str = "-Xmx1G";

/// Java and the folder with Kafka's artifacts.
#[derive(Debug, Clone)]
pub struct Kafka {
    java: PathBuf,
    jars: PathBuf,
}

impl Kafka {
    /// Finds what it takes, or installs it.
    ///
    /// # Errors
    /// Why it is not there.
    pub fn find() -> Result<Self, String> {
        let java = program("java", "default-jre-headless")?;
        let folder = super::folder().join(format!("kafka-{VERSION}"));
        let jars = folder.join("lib");
        if !jars.join(format!("kafka_2.13-{VERSION}.jar")).is_file() {
            let maven = program("mvn", "maven")?;
            download(&maven, &folder)?;
        }
        Ok(Self { java, jars })
    }

    /// Starts one in a folder of its own. `synced`: every record before it is acknowledged.
    ///
    /// # Errors
    /// What it wrote, if it did not get ready.
    pub fn start(&self, synced: bool) -> Result<Running, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let (clients, controller) = (free_address()?, free_address()?);
        let file = folder.path().join("server.properties");
        let data = folder.path().join("data").display().to_string();
        let text = settings(synced, clients.port(), controller.port(), &data);
        std::fs::write(&file, text).map_err(|e| e.to_string())?;
        self.format(&file)?;
        let spawned = Instant::now();
        let mut command = self.class("kafka.Kafka");
        command.arg(&file);
        let process = Process::listening(command, "kafka", clients)?;
        Ok(Running::new(process, folder, spawned))
    }

    fn format(&self, file: &Path) -> Result<(), String> {
        let mut command = self.class("kafka.tools.StorageTool");
        command.args(["format", "-t", "aGVhZHdhdGVyLWJlbmNoLQ", "-c"]);
        let output = command.arg(file).output().map_err(|e| e.to_string())?;
        if output.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    fn class(&self, name: &str) -> Command {
        let mut command = Command::new(&self.java);
        let jars = format!("{}/*", self.jars.display());
        command.args([HEAP, "-XX:+UseG1GC", "-cp", &jars, name]);
        command
    }
}

/// Its defaults, and one node's replication factors.
#[must_use]
pub fn settings(synced: bool, port: u16, controller_port: u16, data: &str) -> String {
    let flush = if synced {
        "log.flush.interval.messages=1\n"
    } else {
        ""
    };
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
log.dirs={data}
num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
{flush}"
    )
}

fn download(maven: &Path, folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|e| e.to_string())?;
    let dependency = |name: &str| {
        format!(
            "<dependency><groupId>org.apache.kafka</groupId><artifactId>{name}</artifactId>\
             <version>{VERSION}</version></dependency>"
        )
    };
    let pom = format!(
        "<project><modelVersion>4.0.0</modelVersion><groupId>none</groupId>\
         <artifactId>kafka-to-compare</artifactId><version>1</version><dependencies>{}{}\
         </dependencies></project>",
        dependency("kafka_2.13"),
        dependency("kafka-tools")
    );
    std::fs::write(folder.join("pom.xml"), pom).map_err(|e| e.to_string())?;
    let mut command = Command::new(maven);
    command
        .args(["-q", "-B", "dependency:copy-dependencies"])
        .args(["-DoutputDirectory=lib", "-DincludeScope=runtime"])
        .current_dir(folder)
        .stdout(Stdio::null());
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("mvn: {status}")),
        Err(error) => Err(format!("mvn: {error}")),
    }
}
