//! `/api/v1/series`.

use crate::params::Params;
use crate::respond::{ApiError, push_labels, success};
use crate::smallest::{Smallest, warnings};
use crate::{Api, selectors};
use axum::extract::State;
use axum::response::Response;

/// Series between two looks at the clock.
const AT_ONCE: usize = 256;

/// The label sets of series that match one of `match[]`.
pub(crate) async fn find(State(api): State<Api>, params: Params) -> Result<Response, ApiError> {
    if params.all("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let limit = params.limit()?;
    let (mint, maxt) = selectors::times(&params)?;
    let wanted = selectors::parse(&params, api.engine.settings().features)
        .map_err(|reason| ApiError::parameter("match[]", reason))?;
    let store = api.queryable;
    let read = api.engine.read("reading of series", move |reading| {
        let mut found = Smallest::new(limit);
        for matchers in &wanted {
            reading.look()?;
            let set = store.select(matchers, mint, maxt, false)?;
            for i in 0..set.len() {
                if i % AT_ONCE == 0 {
                    reading.look()?;
                }
                found.add(set.labels(i));
            }
        }
        let (found, more) = found.finish();
        let mut data = String::from("[");
        for (i, labels) in found.iter().enumerate() {
            if i % AT_ONCE == 0 {
                reading.look()?;
            }
            data.push_str(if i > 0 { "," } else { "" });
            push_labels(&mut data, labels);
        }
        data.push(']');
        Ok((data, more))
    });
    let (data, more) = read.await?;
    Ok(success(&data, &warnings(more), &[]))
}
