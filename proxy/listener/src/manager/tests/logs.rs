//! What a listener logs: every accepted socket once, at its end.

use super::*;
use envoy_api::pb::envoy::{
    config::{
        accesslog::v3::{AccessLog, access_log},
        core::v3::{DataSource, SubstitutionFormatString, data_source, substitution_format_string},
    },
    extensions::access_loggers::file::v3::{FileAccessLog, file_access_log::AccessLogFormat},
};
use std::path::Path;

const FORMAT: &str = "%ACCESS_LOG_TYPE% %LISTENER_NAME% %FILTER_CHAIN_NAME% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% \
                      %DOWNSTREAM_LOCAL_CLOSE_REASON% %BYTES_RECEIVED%/%BYTES_SENT%\n";

fn log(path: &Path, mark: &str) -> AccessLog {
    use substitution_format_string::Format;
    let source = DataSource {
        specifier: Some(data_source::Specifier::InlineString(format!(
            "{mark} {FORMAT}"
        ))),
        ..Default::default()
    };
    let file = FileAccessLog {
        path: path.to_str().unwrap().into(),
        access_log_format: Some(AccessLogFormat::LogFormat(SubstitutionFormatString {
            format: Some(Format::TextFormatSource(source)),
            ..Default::default()
        })),
    };
    AccessLog {
        config_type: Some(access_log::ConfigType::TypedConfig(pack(&file))),
        ..Default::default()
    }
}

impl Setup {
    /// The lines that are in the log once there are so many.
    async fn lines(&self, path: &Path, count: usize) -> Vec<String> {
        let read = || {
            self.manager.build.context.log_manager.flush();
            std::fs::read_to_string(path).unwrap()
        };
        eventually(|| read().lines().count() >= count).await;
        read().lines().map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn the_listener_logs_before_the_filter() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let setup = Setup::new(1).await;
    let proxy = TcpProxy {
        stat_prefix: "p".into(),
        cluster_specifier: Some(ClusterSpecifier::Cluster("c".into())),
        access_log: vec![log(&path, "tcp")],
        ..Default::default()
    };
    let filter = Filter {
        name: "tcp".into(),
        config_type: Some(ConfigType::TypedConfig(pack(&proxy))),
    };
    let proto = Proto {
        filter_chains: vec![FilterChain {
            name: "chain".into(),
            ..chain(vec![filter])
        }],
        access_log: vec![log(&path, "listener")],
        ..listener("l")
    };
    let (address, _) = setup.serve(&proto);
    let (mut client, mut upstream) = setup.session(address).await;
    client.write_all(b"four").await.unwrap();
    upstream.read_exact(&mut [0; 4]).await.unwrap();
    drop((client, upstream));
    assert_eq!(
        setup.lines(&path, 2).await,
        [
            "listener NotSet l chain - - - 4/0",
            "tcp TcpConnectionEnd l chain - - - 4/0"
        ]
    );
}

#[tokio::test]
async fn a_connection_without_a_chain_or_without_filters_is_logged_as_well() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let setup = Setup::new(1).await;
    let nobody = Proto {
        filter_chains: vec![FilterChain {
            filter_chain_match: Some(FilterChainMatch {
                destination_port: Some(1),
                ..Default::default()
            }),
            ..chain(vec![])
        }],
        access_log: vec![log(&path, "-")],
        ..listener("nobody")
    };
    let empty = Proto {
        filter_chains: vec![chain(vec![])],
        access_log: vec![log(&path, "-")],
        ..listener("empty")
    };
    setup.manager.add_static(&nobody).unwrap();
    setup.manager.add_static(&empty).unwrap();
    let expected = [
        "- NotSet nobody - NR filter_chain_not_found - 0/0",
        "- NotSet empty fc - - no_filters 0/0",
    ];
    for (index, address) in setup.start().into_iter().enumerate() {
        let mut client = TcpStream::connect(address).await.unwrap();
        assert!(closed(&mut client).await);
        let lines = setup.lines(&path, index + 1).await;
        assert_eq!(lines, expected[..=index]);
    }
}
