//! `/api/v1/labels` and `/api/v1/label/<name>/values`.

use crate::listed::Listed;
use crate::params::Params;
use crate::respond::{ApiError, push_text, streamed};
use crate::smallest::{Smallest, Weight, warnings};
use crate::{Api, selectors};
use axum::extract::{Path, State};
use axum::response::Response;
use leadline_model::port::QueryError;
use leadline_model::quote::Quoted;
use leadline_model::{Matcher, Timestamp};
use leadline_promql::engine::Engine;

/// The names of labels.
pub(crate) async fn names(State(api): State<Api>, params: Params) -> Result<Response, ApiError> {
    let store = api.queryable;
    answer(&api.engine, params, move |matchers, mint, maxt| {
        store.label_names(matchers, mint, maxt)
    })
    .await
}

/// The values of one label.
pub(crate) async fn values(
    State(api): State<Api>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    let name = unescape(&name);
    if name.is_empty() {
        return Err(ApiError::bad_data(format!("invalid label name: {}", Quoted(&name))));
    }
    let store = api.queryable;
    answer(&api.engine, params, move |matchers, mint, maxt| {
        store.label_values(&name, matchers, mint, maxt)
    })
    .await
}

/// `U__my_2e_label` is how a name that is no identifier is written in a path (escaping scheme "values" of
/// prometheus/common's `model.UnescapeName`).
fn unescape(name: &str) -> String {
    let Some(escaped) = name.strip_prefix("U__") else {
        return name.to_owned();
    };
    let (mut out, mut rest) = (String::new(), escaped);
    while let Some(at) = rest.find('_') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('_') {
            out.push('_');
            rest = after;
            continue;
        }
        let Some((code, after)) = rest.split_once('_') else {
            return name.to_owned();
        };
        let Some(c) = u32::from_str_radix(code, 16).ok().and_then(char::from_u32) else {
            return name.to_owned();
        };
        out.push(c);
        rest = after;
    }
    out.push_str(rest);
    out
}

async fn answer(
    engine: &Engine,
    params: Params,
    ask: impl Fn(&[Matcher], Timestamp, Timestamp) -> Result<Vec<String>, QueryError> + Send + 'static,
) -> Result<Response, ApiError> {
    let limit = params.limit()?;
    let (mint, maxt) = selectors::times(&params)?;
    let features = engine.settings().features;
    let read = engine.read("reading of labels", move |reading| {
        let wanted = selectors::parse(&params, features, reading, "")?;
        if let [] | [_] = wanted.as_slice() {
            let mut found = ask(wanted.first().map(Vec::as_slice).unwrap_or_default(), mint, maxt)?;
            let shown = limit.unwrap_or(usize::MAX).min(found.len());
            let more = shown < found.len();
            found.truncate(shown);
            reading.holds(found.iter().map(Weight::bytes).sum())?;
            return Ok((found, more));
        }
        let mut union = Smallest::new(limit);
        for matchers in &wanted {
            reading.look()?;
            ask(matchers, mint, maxt)?.into_iter().for_each(|text| union.add(text));
            reading.holds(union.bytes())?;
        }
        Ok(union.finish())
    });
    let (found, more) = read.await?;
    let write = |out: &mut String, text: String| push_text(out, &text);
    Ok(streamed(Listed::array(found.into_iter(), write, &warnings(more))))
}

#[cfg(test)]
mod tests {
    use super::unescape;

    #[test]
    fn escaped_names_are_read_back() {
        for (path, name) in [
            ("job", "job"),
            ("U__my_2e_label", "my.label"),
            ("U__a__b", "a_b"),
            ("U__bad_zz_", "U__bad_zz_"),
        ] {
            assert_eq!(unescape(path), name);
        }
    }
}
