//! Tells from the text of a statement whether it works on tables alone, or may leave something in the session.
//!
//! # How it works
//!
//! The text is read once, token by token, with a short memory of the tokens before. A statement is harmless if its first
//! word is on the list [`TABLE_STATEMENTS`], no `INTO` makes a table, and every parenthesis belongs to a keyword, a list
//! of columns or a function on the list [`FUNCTIONS`]. Everything else counts as harmful: a list of exceptions could
//! forget one, and a list of allowed forms cannot.
//!
//! A server without `standard_conforming_strings` reads a backslash in a string in another way. So a text with
//! backslashes is read both ways, and has the effects of both.

use super::{
    copies::CopyScanner,
    ends_tx::{EndScanner, EndsTx},
    tokens::{Token, Tokens, is_in},
};

/// The possible effects of a statement, beside its work on tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SqlEffect {
    /// It may leave something in the session.
    pub(crate) taints_session: bool,
    /// It may draw from a sequence, whose value the session remembers.
    pub(crate) uses_sequences: bool,
    /// It may change something at all.
    pub(crate) writes: bool,
    /// It ends its transaction.
    pub(crate) ends_tx: bool,
    /// It sends or takes data over the connection: a `COPY` with `STDIN` or `STDOUT`.
    pub(crate) copies: bool,
}

impl SqlEffect {
    /// The effect of statements that nobody reads.
    pub(crate) const UNKNOWN: Self =
        Self { taints_session: true, uses_sequences: true, writes: true, ends_tx: false, copies: false };

    /// Reads a single statement.
    pub(crate) fn of(sql: &str) -> Self {
        let mut effect = Self::default();
        if effect.add(sql, false) {
            effect.add(sql, true);
        }
        effect
    }

    /// Adds the effects of a statement, read in one way. Returns whether a server may read it in the other way.
    fn add(&mut self, sql: &str, escapes: bool) -> bool {
        let (mut scanner, mut ends) = (EffectScanner::default(), EndScanner::default());
        let mut copies = CopyScanner::default();
        let mut tokens = Tokens::new(sql, escapes);
        for token in tokens.by_ref() {
            ends.push(token);
            copies.push(token);
            scanner.push(token);
        }
        self.taints_session |= scanner.taints_session || !scanner.began || tokens.is_doubtful;
        self.uses_sequences |= scanner.uses_sequences;
        self.writes |= scanner.writes;
        self.ends_tx |= ends.ends_tx() == EndsTx::Yes;
        self.copies |= copies.found;
        tokens.has_backslashes
    }
}

/// The first words of statements that work on tables.
const TABLE_STATEMENTS: &str = "delete insert merge select table update values with";

/// Keywords that may stand in front of a parenthesis, and that no function can have as its name.
const KEYWORDS: &str = "all and any array as between bit case char character current_time current_timestamp dec \
    decimal distinct else except exists float from group grouping having in int integer intersect interval lateral limit \
    localtime localtimestamp nchar not numeric offset on or real returning row select smallint some then time timestamp to \
    union using values varchar when where";

/// Functions of PostgreSQL that leave nothing in the session; locks end with the transaction.
const FUNCTIONS: &str = "abs acos age array_agg array_append array_cat array_dims array_fill array_length \
    array_lower array_ndims array_position array_positions array_prepend array_remove array_replace array_to_json \
    array_to_string array_upper ascii asin atan atan2 avg bit_and bit_length bit_or bool_and bool_or btrim \
    cardinality cast cbrt ceil ceiling char_length character_length chr clock_timestamp coalesce col_description \
    concat concat_ws convert_from convert_to corr cos cot count cume_dist current_database current_schema \
    current_schemas current_setting date date_bin date_part date_trunc daterange decode degrees dense_rank div \
    encode every exp extract first_value float4 float8 floor format format_type gcd gen_random_uuid generate_series \
    generate_subscripts get_bit get_byte greatest has_schema_privilege has_table_privilege hashtext hashtextextended \
    inet_client_addr initcap int2 int4 int4range int8 int8range isempty isfinite json_agg json_array_elements \
    json_array_elements_text json_array_length json_build_array json_build_object json_each json_each_text \
    json_extract_path json_extract_path_text json_object_agg json_object_keys json_populate_record \
    json_populate_recordset json_to_record json_to_recordset json_typeof jsonb_agg jsonb_array_elements \
    jsonb_array_elements_text jsonb_array_length jsonb_build_array jsonb_build_object jsonb_each jsonb_each_text \
    jsonb_extract_path jsonb_extract_path_text jsonb_insert jsonb_object_agg jsonb_object_keys jsonb_path_exists \
    jsonb_path_query jsonb_path_query_array jsonb_path_query_first jsonb_populate_record jsonb_populate_recordset \
    jsonb_pretty jsonb_set jsonb_strip_nulls jsonb_to_record jsonb_to_recordset jsonb_typeof justify_days \
    justify_hours lag last_value lcm lead least left length ln log log10 lower lower_inc lower_inf lpad ltrim \
    make_date make_interval make_time make_timestamp make_timestamptz max md5 min mod mode nextval now nth_value \
    ntile nullif num_nonnulls num_nulls numrange obj_description octet_length overlay percent_rank percentile_cont \
    percentile_disc pg_advisory_xact_lock pg_advisory_xact_lock_shared pg_backend_pid pg_column_size \
    pg_current_xact_id pg_current_xact_id_if_assigned pg_get_serial_sequence pg_is_in_recovery pg_notify \
    pg_relation_size pg_size_pretty pg_sleep pg_table_size pg_total_relation_size pg_try_advisory_xact_lock \
    pg_try_advisory_xact_lock_shared pg_typeof pi plainto_tsquery position power quote_ident quote_literal \
    quote_nullable radians random rank regexp_count regexp_instr regexp_like regexp_match regexp_matches \
    regexp_replace regexp_split_to_array regexp_split_to_table regexp_substr repeat replace reverse right round \
    row_number row_to_json rpad rtrim set_bit set_byte sha256 sign sin split_part sqrt starts_with \
    statement_timestamp stddev stddev_pop stddev_samp string_agg string_to_array string_to_table strpos substr \
    substring sum tan text timestamptz timezone to_char to_date to_hex to_json to_jsonb to_number to_regclass \
    to_timestamp to_tsquery to_tsvector transaction_timestamp translate trim trunc ts_headline ts_rank tsrange \
    tstzrange txid_current txid_current_snapshot txid_snapshot_xip txid_snapshot_xmax txid_snapshot_xmin \
    txid_visible_in_snapshot unnest upper upper_inc upper_inf var_pop \
    var_samp variance version websearch_to_tsquery width_bucket";

/// Reads a statement token by token.
#[derive(Default)]
struct EffectScanner<'a> {
    began: bool,
    taints_session: bool,
    uses_sequences: bool,
    writes: bool,
    // The last tokens, the latest first.
    last: [Option<Token<'a>>; 4],
    // For each open parenthesis, whether it is that of `DISTINCT ON`: a call may follow directly after it.
    open: Vec<bool>,
    closed_distinct_on: bool,
    has_with: bool,
    has_case: bool,
    has_join: bool,
    // The number of `SET` after the verb `UPDATE`; the first one is the keyword.
    sets: usize,
    // The verb of the statement: after `WITH`, the first one that follows its tables.
    verb: Option<&'a str>,
    target: Target,
}

/// The position in the name of the table after `INTO`.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Target {
    #[default]
    Elsewhere,
    Before,
    After,
}

impl<'a> EffectScanner<'a> {
    fn push(&mut self, token: Token<'a>) {
        if self.last[0] == Some(Token::Sign(b';')) {
            self.taints_session = true;
        }
        match token {
            Token::Word(word) => self.word(word),
            Token::Quoted(name) => self.taints_session |= name.eq_ignore_ascii_case("pg_settings"),
            Token::Sign(b'(') => {
                self.taints_session |= self.may_call();
                let is_distinct_on = matches!(self.last, [Some(on), Some(distinct), ..]
                    if on.is("on") && distinct.is("distinct"));
                self.open.push(is_distinct_on);
            }
            Token::Sign(b')') => self.closed_distinct_on = self.open.pop().unwrap_or(true),
            Token::Sign(_) | Token::Literal => {}
        }
        self.target = match (self.target, token) {
            (Target::Before, Token::Word(_) | Token::Quoted(_)) => Target::After,
            (Target::After, Token::Sign(b'.')) => Target::Before,
            (Target::After, token) if token.is("as") => Target::Before,
            _ if token.is("into") => Target::Before,
            _ => Target::Elsewhere,
        };
        self.last.rotate_right(1);
        self.last[0] = Some(token);
    }

    fn word(&mut self, word: &'a str) {
        let is = |keyword: &str| word.eq_ignore_ascii_case(keyword);
        if !self.began {
            self.began = true;
            self.taints_session |= !is_in(TABLE_STATEMENTS, word);
            self.has_with = is("with");
        }
        if is("into") && !self.has_insert_into() {
            self.taints_session = true;
        }
        // A rule of this view turns updates into settings.
        self.taints_session |= is("pg_settings");
        self.writes |=
            ["insert", "update", "delete", "merge", "nextval", "pg_notify"].iter().any(|known| is(known));
        self.uses_sequences |= ["insert", "merge", "default", "nextval"].iter().any(|known| is(known));
        self.has_case |= is("case");
        self.has_join |= is("join") || is("merge");
        // After `WITH` the verb may be the name of a table.
        let updates =
            self.open.is_empty() && !self.has_with && self.verb.is_some_and(|verb| is_in("update", verb));
        self.sets += usize::from(updates && is("set"));
        if self.open.is_empty() && self.verb.is_none() && !is("with") && is_in(TABLE_STATEMENTS, word) {
            self.verb = Some(word);
        }
    }

    /// Whether the word before `INTO` is the verb `INSERT` or `MERGE`. It may also be the name of a column, and then
    /// `INTO` makes a table.
    fn has_insert_into(&self) -> bool {
        let [Some(Token::Word(verb)), before, ..] = self.last else { return false };
        is_in("insert merge", verb)
            && match before {
                None | Some(Token::Sign(b'(')) => true,
                // The verb itself, and not another word with the same text.
                Some(_) => self.open.is_empty() && self.verb.is_some_and(|first| std::ptr::eq(first, verb)),
            }
    }

    /// Whether a parenthesis may belong to a call of a function that is not on the list.
    fn may_call(&self) -> bool {
        let [name, before, third, ..] = self.last;
        let is_word = |token: Option<Token<'_>>, keywords: &str| matches!(token, Some(Token::Word(word)) if is_in(keywords, word));
        let follows = |keywords: &str| is_word(before, keywords);
        let among_with = self.open.is_empty() && self.has_with && self.verb.is_none();
        let word = match name {
            None | Some(Token::Sign(_)) => return false,
            Some(Token::Literal) => return true,
            // A list of columns.
            Some(_) if self.target == Target::After || follows("as") || among_with => return false,
            // An alias after a closing parenthesis, or `OVER` and similar words.
            Some(name)
                if before == Some(Token::Sign(b')')) && !self.closed_distinct_on && !name.is("operator") =>
            {
                return false;
            }
            Some(Token::Quoted(_)) => return true,
            Some(Token::Word(word)) => word,
        };
        if before == Some(Token::Sign(b'.')) {
            let is_of_server =
                third.is_some_and(|schema| schema.is("pg_catalog") || schema == Token::Quoted("pg_catalog"));
            return !(is_of_server && is_in(FUNCTIONS, word));
        }
        let is = |keyword: &str| word.eq_ignore_ascii_case(keyword);
        // A function may have one of the last words as its name, but not at these positions.
        let is_known = is_in(FUNCTIONS, word)
            || is_in(KEYWORDS, word)
            || (is("by") && follows("group order partition"))
            || (is_in("cube rollup", word) && follows("by") && is_word(third, "group"))
            || (is("join") && follows("left right full inner outer cross"))
            || (is("varying") && follows("bit char character nchar"))
            || (is("sets") && follows("grouping"))
            || (is("set") && (follows("update") || (self.open.is_empty() && self.sets == 1)))
            || (is("conflict") && follows("on") && !self.has_join && self.uses_sequences)
            || (is("insert")
                && follows("then")
                && self.verb.is_some_and(|verb| is_in("merge", verb))
                && !self.has_case);
        !is_known
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::SqlEffect;

    #[test]
    fn what_works_on_tables_only_is_told_from_all_else() {
        for sql in [
            "select 1",
            "  SELECT 1;",
            "(select 1) union (select 2)",
            "\nWith a as (select 1) table a",
            "values(1)",
            "Table t",
            "-- set\nselect /* /* a */ into b */ 'select x into temp t' || $$into temp$$",
            "insert",
            "insert into t select 1",
            "insert into s.t (a, b) values ($1, lower($2)) on conflict (a) do update set b = excluded.b returning *",
            "insert into t as x (a) select count(*) from u group by (b) having (count (*) > 1)",
            "insert into \"T\" (a) values (nextval('s'))",
            "with a (n) as (insert into t values (1) returning n), b as materialized (select 1) \
             insert into u select n from a, b",
            "with x as (delete from t returning *) insert into log select * from x",
            "merge into t using u on t.id = u.id when matched then update set n = u.n \
             when not matched then insert (id, n) values (u.id, u.n)",
            "update t set n = n + 1, b = coalesce(b, '') where id in (select id from u for update)",
            "delete from t using u where (t.id = u.id) and exists (select 1)",
            "select distinct on (a) a, sum(n) filter (where n > 0) over (partition by (b)) from t",
            "select percentile_cont(0.5) within group (order by x) filter (where y) from t",
            "select a.* from t as a (x, y) left join (select 1) as b(z) on (a.x = b.z)",
            "select $1::numeric(10, 2), cast(x as varchar(5)), character varying(3) 'abc'",
            "select pg_catalog.lower(x), pg_advisory_xact_lock(1) from t",
            "select case when (a) then (b) else (c) end from t where not (a) order by lower(b) limit (1)",
            "update only s.t as x set (a, b) = (select 1, 2) where x.id = 1",
            "insert into t values (1) on conflict (id) do update set (a, b) = (1, 2)",
            "select * from unnest(array[1]) x(a), (values (1)) \"v\"(b) join (select 1) w (c) on (true)",
            "select a, grouping(a), current_timestamp(3), localtimestamp(0) from t group by rollup (a)",
            "select lower(a) like ('x') and (b) in (1) from t group by cube (a)",
            r"select 1 where 'a' ~ '^\w+ (f(1)|\d\(\))\.$'",
            "select pg_backend_pid(), current_user, array[1, 2], array(select 1)",
            "with x as (insert into t values (1) returning n) select n from x, pg_notify($1, '')",
            "select txid_snapshot_xmin(txid_current_snapshot())",
        ] {
            let effect = SqlEffect::of(sql);
            assert!(!effect.taints_session, "{sql}");
            assert!(!effect.ends_tx, "{sql}");
        }
        for sql in [
            "",
            "-- nothing",
            "set x = 1",
            "selection",
            "select_",
            "begin",
            "listen c",
            "-- select\nset x = 1",
            "select 1; set x = 1",
            "select 1 into t",
            "select 1 into temp t",
            "select 1into temp t",
            "with x as (select 1) select * into temporary t from x",
            "(select 1 as a into temp t)",
            "select/**/1--\ninto/**/temp t",
            // Columns with the names of the statements whose INTO is harmless.
            "select 1 insert into temp t",
            "select 1 as merge into t",
            "select f insert into pg_temp.t from x",
            "with insert as (select 1) select 1 insert into t",
            "with insert as (select 1) insert into t select 1",
            "select set_config('a.b', 'c', false)",
            "SELECT SET_CONFIG ('a.b', 'c', false)",
            "select pg_catalog.set_config('a.b', 'c', false)",
            "select pg_catalog . \"set_config\" /* */ ('a.b', 'c', false)",
            "select \"set_config\"('a.b', 'c', false)",
            "select u&\"set\\005fconfig\"('a.b', 'c', false)",
            "select * from set_config('a.b', 'c', false)",
            "select 1 from t where pg_try_advisory_lock(1)",
            "values (set_config('a.b', 'c', false))",
            "insert into t select set_config('a.b', 'c', false)",
            "insert into t values (set_config('a.b', 'c', false))",
            "insert into t as select set_config('a.b', 'c', false)",
            "insert into t (a) values (1) returning set_config('a.b', 'c', false)",
            "update t set n = f(n)",
            "delete from t where f(n)",
            "with a as (select f()) select 1",
            "with a as (select 1) select f()",
            "select public.lower(1)",
            "select x.pg_catalog.f(1)",
            "select \"lower\"('X')",
            "select my.lower(1), lower(2)",
            "select lastval()",
            "select over(1), filter(1)",
            "select distinct on (a) filter(1)",
            "select (1), over (1)",
            "select by(1)",
            "select join(1)",
            "select conflict(1)",
            "insert into t select 1 from a join b on conflict(1)",
            "select case when true then insert(1) end",
            "merge into t using u on true when matched then update set n = case when true then insert(1) end",
            "select within(1)",
            "select sets(1)",
            "select set(1)",
            "update t set a = set(1)",
            "with update as (select 1) select set(1)",
            "with update as (select 1) select 1, set(1)",
            "update t set a = (select set(1))",
            "with x as (update t set a = 1 returning a) select set(1)",
            "select rollup(1) from t order by cube(1)",
            "select distinct on (a) \"filter\"(1)",
            "select distinct on (lower(a)) f(1)",
            "select (1) operator(pg_catalog.+) f(1)",
            "select 1 operator(pg_catalog.+) f(1)",
            "select (x).f(1)",
            "update pg_settings set setting = 'off' where name = 'x'",
            "update pg_catalog.\"pg_settings\" set setting = 'off'",
            "select 'a\\'; set x = 1; --'",
            "select '\\' || f(1) || '\\'",
            "select '\\'' || f(1) || '",
            "select 'never ends",
            "explain analyze select 1",
            "execute s",
            "copy t to stdout",
            "call p()",
            "do $$ begin end $$",
        ] {
            assert!(SqlEffect::of(sql).taints_session, "{sql}");
        }
    }

    #[test]
    fn what_draws_from_sequences_and_what_writes() {
        for (sql, uses_sequences, writes) in [
            ("select 1", false, false),
            ("select nextval('s')", true, true),
            ("insert into t values (1)", true, true),
            ("with a as (insert into t values (1)) select 1", true, true),
            ("update t set n = 1", false, true),
            ("update t set n = default", true, true),
            ("delete from t", false, true),
            ("select n, pg_notify('a', 'b') from t", false, true),
            ("merge into t using u on true when not matched then insert values (1)", true, true),
        ] {
            let effect = SqlEffect::of(sql);
            assert_eq!((effect.uses_sequences, effect.writes), (uses_sequences, writes), "{sql}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn any_text_has_an_effect(sql in "([-'\"$/*;()&.e1,]|select|into|with|insert|as| |\\PC){0,60}") {
            SqlEffect::of(&sql);
        }

        /// White space, comments and the case of the letters change nothing.
        #[test]
        fn layout_does_not_matter(words in prop::collection::vec(
            prop::sample::select(vec![
                "select", "insert", "into", "with", "as", "t", "(", ")", ",", ".", "lower", "f", "set_config", "'x'",
                "\"q\"", "over", "on", "conflict", "join", "values", "commit", "rollback", "to", ";", "case", "by",
            ]),
            0..12,
        )) {
            let plain = SqlEffect::of(&words.join(" "));
            prop_assert_eq!(plain, SqlEffect::of(&words.join("/* ' */\n-- \" ; commit\n").to_uppercase()));
        }

        /// A call of an unknown function is found wherever it stands.
        #[test]
        fn a_call_is_never_overlooked(
            before in "(select|values|with|insert into t|update t set n =|delete from t where|[(),.=1]|lower| |as x|,){0,12}",
            name in "f|set_config|\"lower\"|public\\.lower",
        ) {
            let sql = format!("select 1 {before} and {name}(1)");
            prop_assert!(SqlEffect::of(&sql).taints_session, "{}", sql);
        }
    }
}
