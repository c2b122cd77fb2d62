//! What the scan takes for JSON, what it finds, and what it leaves to others.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

use proptest::prelude::*;
use trunkline_core::scan::{Found, Kind, MAX_DEPTH, Paths, Refusal};

fn find(paths: &[&str], is_closed: bool, text: &str) -> Result<Vec<Option<String>>, Refusal> {
    let mut found = Found::default();
    let compiled = Paths::new(paths, is_closed).unwrap();
    compiled.find(text.as_bytes(), &mut found)?;
    let said = |path| {
        let value = found.get(path)?;
        Some(String::from_utf8_lossy(value.of(text.as_bytes())).into_owned())
    };
    Ok((0..paths.len()).map(said).collect())
}

fn one(path: &str, text: &str) -> Result<Option<String>, Refusal> {
    find(&[path], false, text).map(|mut found| found.remove(0))
}

fn is_json(text: &[u8]) -> bool {
    let paths = Paths::new(&["nowhere"], false).unwrap();
    paths.find(text, &mut Found::default()).is_ok()
}

#[test]
fn values_are_found_where_they_are() {
    let text = r#" { "a" : { "b" : [ 1 , { "c" : "x" } , [ -2.5e+3 ] ] , "d" : true } , "e" : null , "" : { } } "#;
    for (path, said) in [
        ("a.b.[0]", "1"),
        ("a.b.[1].c", "x"),
        ("a.b.[2].[]", "-2.5e+3"),
        ("a.d", "true"),
        ("e", "null"),
        ("a.b.[2]", "[ -2.5e+3 ]"),
        ("a.b.[1]", r#"{ "c" : "x" }"#),
    ] {
        assert_eq!(one(path, text), Ok(Some(said.to_owned())), "{path}");
    }
    for path in ["b", "a.c", "a.b.c", "a.b.[3]", "a.b.[1].[]", "e.x"] {
        assert_eq!(one(path, text), Ok(None), "{path}");
    }
}

#[test]
fn kinds_are_told() {
    let text = br#"{"s":"x","e":"\n","n":0,"w":false,"o":{},"a":[]}"#;
    let paths = Paths::new(&["s", "e", "n", "w", "o", "a"], true).unwrap();
    let mut found = Found::default();
    paths.find(text, &mut found).unwrap();
    let kinds: Vec<Kind> = (0..6)
        .filter_map(|path| Some(found.get(path)?.kind))
        .collect();

    let expected = [
        Kind::String,
        Kind::EscapedString,
        Kind::Number,
        Kind::Word,
        Kind::Object,
        Kind::Array,
    ];
    assert_eq!(kinds, expected);
    assert_eq!(found.get(6), None);
}

#[test]
fn a_value_may_be_looked_for_together_with_what_is_in_it() {
    let found = find(&["a", "a.b", "a.b"], false, r#"{"a":{"b":"x"}}"#).unwrap();
    let said = [r#"{"b":"x"}"#, "x", "x"].map(|said| Some(said.to_owned()));
    assert_eq!(found, said);
}

#[test]
fn what_is_not_json_is_refused() {
    for text in [
        "",
        " ",
        "{",
        "}",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":1}{",
        "1 2",
        "\"",
        "\"a",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\t\"",
        "\"\u{0}\"",
        "\"\n\"",
        "01",
        "-",
        "+1",
        ".5",
        "1.",
        "1e",
        "1e+",
        "-01",
        "0x1",
        "tru",
        "True",
        "nul",
        "NaN",
        "Infinity",
        "-Infinity",
        "undefined",
        "1_000",
        "\u{feff}1",
        "// x\n1",
        "[1]]",
        "{\"a\":1]",
        "\u{b}1",
        "\u{a0}1",
        "\"a\"\"b\"",
        "{\"a\" 1}",
        "{1:1}",
        "truefalse",
    ] {
        assert!(!is_json(text.as_bytes()), "{text:?}");
    }
}

#[test]
fn what_is_json_is_taken() {
    for text in [
        "0",
        "-0",
        "1",
        "-12.50",
        "1e5",
        "1E-5",
        "0.0e+00",
        "true",
        "false",
        "null",
        "\"\"",
        "\"é🎧\u{7f}\"",
        r#""\"\\\/\b\f\n\r\t\u00e9\uFFFF""#,
        "[]",
        "[ ]",
        "{}",
        "{ }",
        "[[],{},\"\",0]",
        "\t\r\n [1 , 2]\n",
        "{\"a\":{\"a\":1},\"b\":1,\"b\":2}",
    ] {
        assert!(is_json(text.as_bytes()), "{text:?}");
    }
}

#[test]
fn what_parsers_differ_about_is_refused() {
    let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(is_json(deep(MAX_DEPTH).as_bytes()));
    assert!(!is_json(deep(MAX_DEPTH + 1).as_bytes()));
    assert!(!is_json(deep(1_000_000).as_bytes()));
    assert!(!is_json("1".repeat(41).as_bytes()));
    for half in [r#""\ud800""#, r#""\uDFFF""#, r#""\ud83c\udfa7""#] {
        assert_eq!(one("a", half), Err(Refusal::Escaped));
    }
}

#[test]
fn a_second_value_for_a_path_is_refused() {
    for text in [
        r#"{"a":{"b":1},"a":{"b":2}}"#,
        r#"{"a":{"b":1},"a":7}"#,
        r#"{"a":7,"a":{"b":1}}"#,
        r#"{"a":{"b":1,"b":1}}"#,
    ] {
        assert_eq!(one("a.b", text), Err(Refusal::Ambiguous), "{text}");
    }
    let two = r#"{"parts":[{"data":"x"},{"data":"y"}]}"#;
    assert_eq!(one("parts.[].data", two), Err(Refusal::Ambiguous));
    let apart = r#"{"parts":[{"data":"x"},{"kind":"y"}]}"#;
    let both = ["parts.[].data", "parts.[].kind"];
    assert_eq!(find(&both, false, apart), Err(Refusal::Ambiguous));
    assert_eq!(one("parts.[].data", apart), Ok(Some("x".to_owned())));
    assert_eq!(
        find(&["p.[0].d", "p.[1].d"], false, r#"{"p":[{"d":1},{"d":2}]}"#)
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn a_name_with_escapes_is_refused_where_it_could_be_one_that_is_looked_for() {
    assert_eq!(one("a.b", r#"{"\u0061":{"b":1}}"#), Err(Refusal::Escaped));
    assert_eq!(one("a.b", r#"{"a":{"\u0062":1}}"#), Err(Refusal::Escaped));
    let beside = r#"{"a":{"b":1},"c":{"\u0062":1}}"#;
    assert_eq!(one("a.b", beside), Ok(Some("1".to_owned())));
}

#[test]
fn closed_paths_allow_nothing_else() {
    let paths = ["c.parts.[].data", "c.parts.[].kind", "c.role"];
    let closed = |text| find(&paths, true, text);
    let audio = r#"{"c":{"parts":[{"kind":"k","data":"x"}]}}"#;
    assert_eq!(closed(audio).unwrap()[0], Some("x".to_owned()));
    for text in [
        r#"{"c":{"parts":[{"kind":"k","data":"x"}]},"usage":{}}"#,
        r#"{"c":{"parts":[{"kind":"k","data":"x"}],"done":true}}"#,
        r#"{"c":{"parts":[{"kind":"k","data":"x","text":"y"}]}}"#,
        r#"{"c":{"parts":[{"kind":"k","data":"x"},{}]}}"#,
        r#"{"c":{"parts":[{},{"kind":"k","data":"x"}]}}"#,
    ] {
        assert_eq!(closed(text), Err(Refusal::Unexpected), "{text}");
    }
    let inside = r#"{"c":{"role":{"any":"thing"}}}"#;
    assert!(closed(inside).is_ok(), "a value is its own affair");
}

#[test]
fn paths_that_cannot_be_read_are_refused() {
    for path in ["", "a.", ".a", "a..b", "a.[x]", "a.[-1]"] {
        assert!(Paths::new(&[path], false).is_err(), "{path}");
    }
    assert!(Paths::new(&["a.[]", "a.[0]"], false).is_err());
    let many: Vec<String> = (0..33).map(|number| format!("m{number}")).collect();
    assert!(Paths::new(&many, false).is_err());
    assert!(Paths::new(&many[..32], false).is_ok());
}

// ── anything ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/// JSON, and what its member `a.b` says, which is found if it is unambiguous.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|word| word.to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        (-1e9..1e9).prop_map(|number: f64| number.to_string()),
        "[ -!#-\\[\\]-~é🎧]{0,8}".prop_map(|text| format!("\"{text}\"")),
        Just(r#""\n\u00e9""#.to_owned()),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let member = ("[a-c]", inner.clone(), "[ \n\t\r]{0,2}");
        let member =
            member.prop_map(|(name, value, space)| format!("{space}\"{name}\":{space}{value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..4)
                .prop_map(|values| format!("[{}]", values.join(" ,"))),
            prop::collection::vec(member, 0..4)
                .prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn json_is_taken(text in json()) {
        prop_assert!(is_json(text.as_bytes()));
    }

    #[test]
    fn a_part_of_json_is_not_taken(text in json(), cut in any::<prop::sample::Index>()) {
        let text = format!("[{text}]");
        let cut = cut.index(text.len());
        prop_assert!(!is_json(&text.as_bytes()[..cut]));
    }

    #[test]
    fn anything_is_taken_or_refused(
        text in prop_oneof![json().prop_map(String::into_bytes), prop::collection::vec(any::<u8>(), 0..60), "[\\[\\]{}:,\"ab0-9 .e\\\\u-]{0,40}".prop_map(String::into_bytes)],
        change in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        is_closed in any::<bool>(),
    ) {
        let mut text = text;
        if let (Some((index, byte)), false) = (change, text.is_empty()) {
            let index = index.index(text.len());
            text[index] = byte;
        }
        let paths = Paths::new(&["a.b", "a.[].c", "a", "b.[1]"], is_closed).unwrap();
        let mut found = Found::default();
        if paths.find(&text, &mut found).is_ok() {
            prop_assert!(is_json(&text));
            for path in 0..4 {
                if let Some(value) = found.get(path) {
                    prop_assert!(value.at.end <= text.len() && value.at.start <= value.at.end);
                    let inner = text[value.at.clone()].to_vec();
                    let quoted = [b"\"", &inner[..], b"\""].concat();
                    let is_string = matches!(value.kind, Kind::String | Kind::EscapedString);
                    let value = if is_string { quoted } else { inner };
                    prop_assert!(is_json(&value));
                }
            }
        }
    }
}
