//! Settings that cannot work.

use trunkline_core::media::{
    Downlink, JsonShape, MediaShape, MediaTemplate, PlayoutConfig, Uplink, UplinkConfig,
};
use trunkline_core::websocket::Writer;

use crate::wire::{linear, mulaw, playout, template};

#[test]
fn settings_that_cannot_work_are_refused() {
    let config = || UplinkConfig {
        shape: MediaShape::binary(None),
        format: mulaw(),
        history: 30.0,
        ptime: 0.0,
        quiet_dbfs: None,
    };
    for bad in [
        UplinkConfig {
            history: 0.5,
            ..config()
        },
        UplinkConfig {
            history: f64::NAN,
            ..config()
        },
        UplinkConfig {
            ptime: -1.0,
            ..config()
        },
        UplinkConfig {
            ptime: 2.0,
            ..config()
        },
    ] {
        assert!(Uplink::new(bad).is_err());
    }
    let ids = JsonShape {
        audio: "a".to_owned(),
        item_id: Some("i".to_owned()),
        ..JsonShape::default()
    };
    let shape = MediaShape::json(ids).unwrap();
    assert!(Uplink::new(UplinkConfig { shape, ..config() }).is_err());
    let mut uplink = Uplink::new(config()).unwrap();
    let framed = template("", "", Some(160));
    assert!(
        uplink
            .connect(framed, mulaw(), Writer::server(), None)
            .is_err()
    );
    assert!(MediaTemplate::binary(Some(0)).is_err());
    assert!(
        Downlink::new(PlayoutConfig {
            lead: 0.0,
            ..playout(None)
        })
        .is_err()
    );
    assert!(
        Downlink::new(PlayoutConfig {
            lead: f64::INFINITY,
            ..playout(None)
        })
        .is_err()
    );
    let odd = template("", "", Some(161));
    let format = linear(8_000);
    assert!(
        Downlink::new(PlayoutConfig {
            template: odd,
            format,
            ..playout(None)
        })
        .is_err()
    );
}
