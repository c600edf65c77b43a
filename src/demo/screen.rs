//! The demo's screen: redrawn in place on a terminal, a line per reading elsewhere.

use crate::demo::question::{Answer, Trigger};
use std::io::{IsTerminal, Write};

/// One reading of everything.
pub(crate) struct Reading {
    /// Seconds since the demo began.
    pub second: u64,
    /// The pods' requests per second.
    pub pods: Answer<Vec<(String, f64)>>,
    /// What the HPA on them decides.
    pub pods_replicas: Option<u32>,
    /// The queue, as the external metrics API tells it.
    pub queue: Answer<f64>,
    /// What the HPA on it decides.
    pub queue_replicas: Option<u32>,
    /// The queue, as KEDA is told it.
    pub trigger: Answer<Trigger>,
    /// What KEDA decides.
    pub trigger_replicas: Option<u32>,
}

/// Shows readings.
pub(crate) struct Screen {
    out: std::io::Stdout,
    terminal: bool,
    drawn: usize,
    intro: String,
}

impl Screen {
    /// A screen below `intro`.
    pub(crate) fn new(intro: String) -> Self {
        let out = std::io::stdout();
        let terminal = out.is_terminal();
        Self {
            out,
            terminal,
            drawn: 0,
            intro,
        }
    }

    /// Shows what is always there.
    pub(crate) fn begin(&mut self) -> std::io::Result<()> {
        writeln!(self.out, "{}", self.intro)?;
        self.out.flush()
    }

    /// Shows a reading.
    pub(crate) fn show(&mut self, reading: &Reading) -> std::io::Result<()> {
        if self.terminal {
            let lines = table(reading);
            if self.drawn > 0 {
                write!(self.out, "\x1b[{}A\x1b[J", self.drawn)?;
            }
            self.drawn = lines.len();
            for line in lines {
                writeln!(self.out, "{line}")?;
            }
        } else {
            writeln!(self.out, "{}", line(reading))?;
        }
        self.out.flush()
    }
}

fn replicas(n: Option<u32>) -> String {
    n.map_or_else(|| "kept".to_owned(), |n| n.to_string())
}

/// The lines of a reading; none is wider than 80 columns, for a wrapped line could not be drawn over.
fn table(reading: &Reading) -> Vec<String> {
    let mut lines = vec![
        format!(
            "{:>4} s   {:<38} {:<19} {:>8}",
            reading.second, "reads", "against", "replicas"
        ),
        String::new(),
    ];
    let pods = match &reading.pods {
        Ok(pods) => pods
            .iter()
            .map(|(name, v)| format!("{name} {v:.1}"))
            .collect::<Vec<_>>()
            .join(" "),
        Err(why) => short(why),
    };
    lines.push(format!(
        "  HPA     {pods:<38} {:<19} {:>8}",
        "10/s per pod",
        replicas(reading.pods_replicas)
    ));
    let queue = match &reading.queue {
        Ok(queue) => format!("queue_depth {queue:.0} {}", bar(*queue, 60.0)),
        Err(why) => short(why),
    };
    lines.push(format!(
        "  HPA     {queue:<38} {:<19} {:>8}",
        "10 per pod",
        replicas(reading.queue_replicas)
    ));
    let trigger = match &reading.trigger {
        Ok(t) => format!(
            "queue_depth {:.0} {}",
            t.value,
            if t.active { "active" } else { "inactive" }
        ),
        Err(why) => short(why),
    };
    lines.push(format!(
        "  KEDA    {trigger:<38} {:<19} {:>8}",
        "10 per pod, if > 0",
        replicas(reading.trigger_replicas)
    ));
    lines
}

fn line(reading: &Reading) -> String {
    let pods = match &reading.pods {
        Ok(pods) => pods
            .iter()
            .map(|(name, v)| format!("{name}={v:.1}"))
            .collect::<Vec<_>>()
            .join(","),
        Err(why) => format!("({why})"),
    };
    let queue = reading
        .queue
        .as_ref()
        .map_or_else(|why| format!("({why})"), |q| format!("{q:.0}"));
    let trigger = match &reading.trigger {
        Ok(t) => format!("{:.0} {}", t.value, if t.active { "active" } else { "inactive" }),
        Err(why) => format!("({why})"),
    };
    format!(
        "{} s | hpa pods {pods} -> {} replicas | hpa queue {queue} -> {} replicas | keda {trigger} -> {} replicas",
        reading.second,
        replicas(reading.pods_replicas),
        replicas(reading.queue_replicas),
        replicas(reading.trigger_replicas)
    )
}

fn short(why: &str) -> String {
    let mut text: String = why.chars().take(36).collect();
    if text.len() < why.len() {
        text.push('…');
    }
    text
}

fn bar(value: f64, most: f64) -> String {
    "▇".repeat((value / most * 20.0).clamp(0.0, 20.0) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_of_the_table_is_wider_than_a_terminal() {
        let reading = |why: &str| Reading {
            second: 9999,
            pods: Err(why.to_owned()),
            pods_replicas: None,
            queue: Ok(60.0),
            queue_replicas: Some(10),
            trigger: Ok(Trigger {
                value: 60.0,
                active: false,
            }),
            trigger_replicas: Some(10),
        };
        let full = Reading {
            pods: Ok(["web-1", "web-2", "web-3"].map(|p| (p.to_owned(), 123.45)).to_vec()),
            ..reading("")
        };
        for reading in [reading(&"because ".repeat(50)), full] {
            for line in table(&reading) {
                assert!(line.chars().count() <= 80, "{line}");
            }
        }
    }
}
