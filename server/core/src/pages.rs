//! All keys under a prefix, a page at a time.

use bytes::Bytes;

use crate::store::{Store, StoreError, Versioned};

/// Keys read from the store at a time.
const PAGE: u32 = 256;

/// Walks the keys under a prefix in byte order, with their values. What changes meanwhile behind it
/// is not seen; what changes ahead of it is.
pub(crate) struct Pages<'a> {
    store: &'a dyn Store,
    prefix: &'static [u8],
    after: Option<Bytes>,
}

impl<'a> Pages<'a> {
    /// From the first key on.
    pub(crate) fn of(store: &'a dyn Store, prefix: &'static [u8]) -> Self {
        Self::after(store, prefix, None)
    }

    /// From the first key after `after` on.
    pub(crate) fn after(store: &'a dyn Store, prefix: &'static [u8], after: Option<Bytes>) -> Self {
        Self {
            store,
            prefix,
            after,
        }
    }

    /// The next page, never empty; `None` after the last key.
    ///
    /// # Errors
    /// Those of [`Store::list`]; the next call tries the same page again.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<(Bytes, Versioned)>>, StoreError> {
        let after = self.after.as_deref();
        let page = self.store.list(self.prefix, after, PAGE).await?;
        let Some((last, _)) = page.last() else {
            return Ok(None);
        };
        self.after = Some(last.clone());
        Ok(Some(page))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::memory::MemoryStore;

    #[test]
    fn every_key_of_the_prefix_comes_once_and_no_other() {
        let store = MemoryStore::default();
        let key = |prefix: &str, n: u32| Bytes::from(format!("{prefix}{n:04}"));
        let put = |key: Bytes| {
            let put = store.put_if(key, 0, Some(Bytes::from_static(b"x")));
            put.now_or_never().unwrap().unwrap();
        };
        for n in 0..2 * PAGE {
            put(key("b/", n));
        }
        put(key("a/", 0));
        put(key("c/", 0));
        let walk = |after: Option<Bytes>| {
            let mut pages = Pages::after(&store, b"b/", after);
            let mut seen = Vec::new();
            while let Some(page) = pages.next().now_or_never().unwrap().unwrap() {
                assert!(!page.is_empty());
                seen.extend(page.into_iter().map(|(key, _)| key));
            }
            seen
        };
        let all: Vec<_> = (0..2 * PAGE).map(|n| key("b/", n)).collect();
        assert_eq!(walk(None), all);
        assert_eq!(walk(Some(key("b/", 300))), all[301..]);
        assert_eq!(walk(Some(key("b/", 2 * PAGE))), Vec::<Bytes>::new());
    }
}
