//! A target, and a configuration that scrapes it often.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]
use leadline_tsdb::config::{Global, Resolved, ScrapeConfig, parse_yaml, resolve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A server that answers every request with one gauge.
pub(crate) async fn exporter(value: u32) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while stream.read(&mut buffer).await.is_ok_and(|n| n > 0) {
                    let body = format!("# TYPE depth gauge\ndepth {value}\n");
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\r\n",
                        body.len()
                    );
                    if stream.write_all(format!("{head}{body}").as_bytes()).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

/// Jobs as a configuration file has them, scraped every 100 ms.
pub(crate) fn jobs(text: &str, file: &str) -> Vec<Resolved> {
    let jobs: Vec<ScrapeConfig> = parse_yaml(text, file).unwrap();
    let global: Global = parse_yaml("scrape_interval: 100ms\n", file).unwrap();
    resolve(&global, &jobs, file).unwrap()
}
