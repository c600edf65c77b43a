//! `/api/v1/series`.

use crate::params::Params;
use crate::respond::{ApiError, blocking, push_labels, success};
use crate::{Api, selectors};
use axum::extract::State;
use axum::response::Response;
use leadline_model::Labels;
use leadline_model::port::QueryError;
use std::collections::BTreeSet;

/// The label sets of series that match one of `match[]`.
pub(crate) async fn find(State(api): State<Api>, params: Params) -> Result<Response, ApiError> {
    if params.all("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let limit = params.limit()?;
    let (mint, maxt) = selectors::times(&params)?;
    let wanted = selectors::parse(&params).map_err(|reason| ApiError::parameter("match[]", reason))?;
    let found = blocking(move || {
        let mut found: BTreeSet<Labels> = BTreeSet::new();
        for matchers in &wanted {
            let set = api.queryable.select(matchers, mint, maxt, false)?;
            found.extend((0..set.len()).map(|i| set.labels(i)));
        }
        Ok::<_, QueryError>(found)
    })
    .await?;
    let shown = limit.unwrap_or(found.len()).min(found.len());
    let warnings = if shown < found.len() {
        vec!["results truncated due to limit".to_owned()]
    } else {
        Vec::new()
    };
    let mut data = String::from("[");
    for (i, labels) in found.iter().take(shown).enumerate() {
        if i > 0 {
            data.push(',');
        }
        push_labels(&mut data, labels);
    }
    data.push(']');
    Ok(success(&data, &warnings, &[]))
}
