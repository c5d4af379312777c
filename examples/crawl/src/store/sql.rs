//! The tables and statements, in SQL for both PostgreSQL and SQLite.
//!
//! | table | contents |
//! |---|---|
//! | `crawl` | the job, the number of the pass, and whether the pass is complete |
//! | `urls` | every URL that was found, the pass in which it was last seen, its outcome |
//! | `frontier` | the URLs that have no outcome in this pass yet, in the order in which they were found |
//! | `links` | the links of each page, and of each redirect; those to a place on the same page only if it is missing |
//! | `anchors` | the targets of fragments on each page, as hashes |
//! | `broken` | the broken links, by target and fragment: the result |
//!
//! A URL leaves the frontier in the transaction that stores its outcome and its links. So the tables are a checkpoint
//! at any moment, and to store an outcome twice changes nothing.
//!
//! For SQLite `$1` is a name, and the parameters are numbered as they appear: they appear in order.

/// Creates the tables. `{id}` is the type of a numbered key, `{blob}` that of bytes, `{rowless}` an option.
pub(super) const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS crawl (
        id BIGINT PRIMARY KEY, job TEXT NOT NULL, pass BIGINT NOT NULL, is_complete BIGINT NOT NULL
    );
    CREATE TABLE IF NOT EXISTS urls (
        id {id}, url TEXT NOT NULL UNIQUE, host TEXT NOT NULL, role BIGINT NOT NULL, depth BIGINT NOT NULL,
        seen BIGINT NOT NULL, outcome TEXT, detail TEXT, read_as BIGINT, etag TEXT, modified TEXT,
        links BIGINT, bytes BIGINT
    );
    CREATE TABLE IF NOT EXISTS frontier (position {id}, url BIGINT NOT NULL, host TEXT NOT NULL);
    CREATE INDEX IF NOT EXISTS frontier_by_host ON frontier (host, position);
    CREATE TABLE IF NOT EXISTS links (
        page BIGINT NOT NULL, target BIGINT NOT NULL, fragment TEXT NOT NULL, PRIMARY KEY (page, target, fragment)
    ) {rowless};
    CREATE TABLE IF NOT EXISTS anchors (page BIGINT PRIMARY KEY, hashes {blob} NOT NULL);
    CREATE TABLE IF NOT EXISTS broken (
        target BIGINT NOT NULL, fragment TEXT NOT NULL, problem TEXT NOT NULL, detail TEXT NOT NULL,
        PRIMARY KEY (target, fragment)
    );";

pub(super) const CRAWL: &str = "SELECT job, pass, is_complete FROM crawl";

/// Forgets another job.
pub(super) const FORGET: [&str; 6] = [
    "DELETE FROM frontier",
    "DELETE FROM links",
    "DELETE FROM anchors",
    "DELETE FROM broken",
    "DELETE FROM urls",
    "DELETE FROM crawl",
];
pub(super) const BEGIN_PASS: &str = "
    INSERT INTO crawl (id, job, pass, is_complete) VALUES (1, $1, $2, 0)
    ON CONFLICT (id) DO UPDATE SET pass = excluded.pass, is_complete = 0";
/// The index for the check slows writing down, so it is there only between the end of a pass and the next one.
pub(super) const DROP_INDEX: &str = "DROP INDEX IF EXISTS links_by_target";
pub(super) const CREATE_INDEX: &str =
    "CREATE INDEX IF NOT EXISTS links_by_target ON links (target, fragment, page)";

/// Adds a URL, or marks it as seen in this pass; changes nothing if it is. The text, host, role, depth, pass.
pub(super) const SEE: &str = "
    INSERT INTO urls (url, host, role, depth, seen) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (url) DO UPDATE SET role = excluded.role, depth = excluded.depth, seen = excluded.seen
    WHERE urls.seen < excluded.seen";
pub(super) const QUEUE: &str = "INSERT INTO frontier (url, host) SELECT id, host FROM urls WHERE url = $1";

/// The next URLs of a host.
pub(super) const TAKE: &str = "
    SELECT f.position, u.id, u.url, u.role, u.depth, u.read_as, u.etag, u.modified
    FROM frontier f JOIN urls u ON u.id = f.url WHERE f.host = $1 AND f.position > $2 ORDER BY f.position LIMIT $3";

pub(super) const LEAVE_FRONTIER: &str = "DELETE FROM frontier WHERE position = $1";
pub(super) const DELETE_LINKS: &str = "DELETE FROM links WHERE page = $1";
pub(super) const DELETE_ANCHORS: &str = "DELETE FROM anchors WHERE page = $1";
pub(super) const ADD_ANCHORS: &str = "
    INSERT INTO anchors (page, hashes) VALUES ($1, $2) ON CONFLICT (page) DO UPDATE SET hashes = excluded.hashes";
pub(super) const OUTCOME: &str = "
    UPDATE urls SET outcome = $1, detail = $2, read_as = $3, etag = $4, modified = $5, links = $6, bytes = $7
    WHERE id = $8";
/// The targets of a page that has not changed, as far as this pass has not seen them.
pub(super) const UNSEEN_TARGETS: &str = "
    SELECT DISTINCT u.id, u.url FROM links l JOIN urls u ON u.id = l.target
    WHERE l.page = $1 AND u.seen < $2 ORDER BY u.id";

/// Removes everything that this pass has not seen.
pub(super) const PRUNE: [&str; 3] = [
    "DELETE FROM links WHERE page IN (SELECT id FROM urls WHERE seen < $1)",
    "DELETE FROM anchors WHERE page IN (SELECT id FROM urls WHERE seen < $1)",
    "DELETE FROM urls WHERE seen < $1",
];
pub(super) const CLEAR_BROKEN: &str = "DELETE FROM broken";
pub(super) const FAILED: &str = "
    SELECT id, url, outcome, detail FROM urls
    WHERE id > $1 AND outcome NOT IN ('ok', 'redirect', 'disallowed') ORDER BY id LIMIT $2";
pub(super) const REDIRECTS: &str = "
    SELECT id, url FROM urls WHERE id > $1 AND outcome = 'redirect' ORDER BY id LIMIT $2";
/// The distinct targets with a fragment.
pub(super) const FRAGMENTS: &str = "
    SELECT DISTINCT target, fragment FROM links
    WHERE (target, fragment) > ($1, $2) AND fragment <> '' ORDER BY target, fragment LIMIT $3";
pub(super) const PAGE: &str = "
    SELECT u.url, u.outcome, a.hashes FROM urls u LEFT JOIN anchors a ON a.page = u.id WHERE u.id = $1";
pub(super) const REDIRECT_TARGET: &str = "SELECT target, fragment FROM links WHERE page = $1 LIMIT 1";
pub(super) const ADD_BROKEN: &str = "
    INSERT INTO broken (target, fragment, problem, detail) VALUES ($1, $2, $3, $4)
    ON CONFLICT (target, fragment) DO NOTHING";
pub(super) const COMPLETE: &str = "UPDATE crawl SET is_complete = 1";

/// The broken links of one kind, by the address of the target.
pub(super) const BROKEN: &str = "
    SELECT b.target, u.url, b.fragment, b.detail FROM broken b JOIN urls u ON u.id = b.target
    WHERE b.problem = $1 AND (u.url, b.fragment) > ($2, $3) ORDER BY u.url, b.fragment LIMIT $4";
/// The pages with a link to this target: to this place on it, or anywhere to it if the target itself is broken.
pub(super) const PAGES_OF_PLACE: &str = "
    SELECT u.url FROM links l JOIN urls u ON u.id = l.page
    WHERE l.target = $1 AND l.fragment = $2 AND u.url > $3 ORDER BY u.url LIMIT $4";
pub(super) const PAGES_OF_TARGET: &str = "
    SELECT DISTINCT u.url FROM links l JOIN urls u ON u.id = l.page
    WHERE l.target = $1 AND u.url > $2 ORDER BY u.url LIMIT $3";
pub(super) const COUNT_PAGES_OF_PLACE: &str =
    "SELECT count(*) FROM links WHERE target = $1 AND fragment = $2";
pub(super) const COUNT_PAGES_OF_TARGET: &str = "SELECT count(DISTINCT page) FROM links WHERE target = $1";

/// The number of URLs with each outcome and role; a file is no HTML, and has no number of links.
pub(super) const TOTALS: &str = "
    SELECT CASE WHEN f.url IS NOT NULL THEN 'queued' WHEN u.outcome = 'ok' AND u.links IS NULL THEN 'file'
        ELSE coalesce(u.outcome, 'external') END, u.role,
        count(*), CAST(coalesce(sum(u.links), 0) AS BIGINT)
    FROM urls u LEFT JOIN frontier f ON f.url = u.id WHERE u.seen = (SELECT pass FROM crawl) GROUP BY 1, 2";
pub(super) const BROKEN_COUNTS: &str = "SELECT problem, count(*) FROM broken GROUP BY problem";
