//! The rules of this workspace that neither rustc nor clippy knows.
//!
//! A rule is a function from the files to its findings, each of which says how to mend it.

mod async_docs;
mod circles;
mod clock;
mod compiled_files;
mod crates;
mod deps;
mod graph;
mod imports;
mod locks;
mod manifest;
mod maps;
pub(crate) mod measurements;
mod names;
mod prose;
mod rust;
mod text;
mod tree;
mod uses;
mod versions;

use std::path::Path;

use tree::Tree;

type Rule = fn(&Tree) -> Vec<String>;

const RULES: [Rule; 34] = [
    circles::files_make_few_circles,
    imports::imports_are_nested,
    clock::tests_do_not_wait_for_the_wall_clock,
    clock::time_is_paused_from_the_start,
    crates::manifests_are_complete,
    crates::published_crates_have_their_files,
    crates::readmes_are_crate_docs,
    crates::readmes_can_be_pasted,
    crates::the_front_page_lists_every_crate,
    deps::default_features_are_off,
    deps::external_versions_are_stated_once,
    deps::our_dev_dependencies_are_paths,
    measurements::figures_come_from_the_results,
    measurements::figures_name_their_machine,
    measurements::pages_quote_the_results,
    async_docs::async_functions_say_what_dropping_does,
    async_docs::future_types_must_be_used,
    async_docs::future_types_say_what_dropping_does,
    graph::backoff_is_below_no_crate,
    graph::foreign_crates_are_allowed_ones,
    graph::our_crates_stand_where_they_should,
    locks::no_foreign_code_runs_under_a_lock,
    compiled_files::every_rust_file_is_compiled,
    maps::architecture_names_files_that_exist,
    maps::files_have_heads,
    maps::lib_rs_lists_its_files,
    names::names_are_the_fields_words,
    names::public_types_have_one_meaning,
    prose::sentences_have_subjects,
    text::files_stay_short,
    text::lines_end_cleanly,
    text::no_private_paths,
    text::nothing_is_left_to_do,
    versions::compared_versions_are_locked,
];

/// Returns the findings in the workspace at `root`, as `path:line: message` or `path: message`; empty when nothing is.
pub(crate) fn run(root: &Path) -> Vec<String> {
    let tree = match Tree::read(root) {
        Ok(tree) => tree,
        Err(error) => return vec![format!("{}: the files cannot be listed: {error}", root.display())],
    };
    let mut found: Vec<String> = RULES.iter().flat_map(|rule| rule(&tree)).collect();
    found.sort();
    found.dedup();
    found
}
