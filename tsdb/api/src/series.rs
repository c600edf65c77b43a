//! `/api/v1/series`.

use crate::listed::Listed;
use crate::params::Params;
use crate::respond::{ApiError, push_labels, streamed};
use crate::smallest::{Smallest, warnings};
use crate::{Api, selectors};
use axum::extract::State;
use axum::response::Response;

/// Series between two looks at the clock and at what is kept.
const AT_ONCE: usize = 256;

/// The label sets of series that match one of `match[]`.
pub(crate) async fn find(State(api): State<Api>, params: Params) -> Result<Response, ApiError> {
    if params.all("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let limit = params.limit()?;
    let (mint, maxt) = selectors::times(&params)?;
    let (store, features) = (api.queryable, api.engine.settings().features);
    let read = api.engine.read("reading of series", move |reading| {
        let wanted = selectors::parse(&params, features, reading, selectors::NAMED)?;
        let mut found = Smallest::new(limit);
        for matchers in &wanted {
            reading.look()?;
            let set = store.select(matchers, mint, maxt, false)?;
            for i in 0..set.len() {
                if i % AT_ONCE == 0 {
                    reading.look()?;
                    reading.holds(found.bytes())?;
                }
                found.add(set.labels(i));
            }
        }
        reading.holds(found.bytes())?;
        Ok(found.finish())
    });
    let (found, more) = read.await?;
    let write = |out: &mut String, labels| push_labels(out, &labels);
    Ok(streamed(Listed::array(found.into_iter(), write, &warnings(more))))
}
