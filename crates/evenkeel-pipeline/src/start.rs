//! The start of a pipeline: its settings are checked, its parts are made and connected.

use std::{collections::HashSet, iter, sync::Arc, time::Duration};

use evenkeel_task::background;
use tokio::{sync::mpsc, time::Instant};

#[cfg(feature = "inspect")]
use crate::inspect::objects;
use crate::{
    InvalidPipeline, Pipeline, Running, Source,
    in_hand::Limits,
    intake::{AnySource, Opening},
    orders::OrderSender,
    pipeline::{Path, Plan, PlannedStage},
    pull::Pulled,
    random::Random,
    run::{Run, run},
    running::Shared,
    settings::PathSettings,
    status::Status,
};

/// The window of a pipeline whose stages have no limits.
const DEFAULT_WINDOW: usize = 64;
const DEFAULT_ATTEMPTS: u32 = 5;

impl<S: Source, P> Pipeline<S, P>
where
    P: Path<S::Item>,
{
    /// Starts the pipeline on tasks of the runtime.
    ///
    /// The first pull comes behind the [check](Source::check) of the source.
    ///
    /// # Errors
    ///
    /// A limit, timeout, window, budget, or number of attempts of zero; a window below a batch; a budget with a batch without
    /// [`within`](crate::Batch::within); an ack wait of zero; attempts without a dead letter sink; no
    /// stage; two stages of one name.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    #[track_caller]
    pub fn start(self) -> Result<Running, InvalidPipeline> {
        let Self { source, plan, path } = self;
        let sources = 1 + plan.merged.len();
        let limits = limits(&plan, sources)?;
        let window = limits.window;
        for planned in &plan.stages {
            let limit = planned.limit.unwrap_or(window).try_into().unwrap_or(u32::MAX);
            planned.stage.set_limit(limit);
            if let Some(timeout) = planned.timeout {
                planned.stage.set_timeout(timeout);
            }
        }
        let timeout = plan.stages.iter().map(|planned| planned.stage.timeout()).sum();
        let settings =
            Arc::new(PathSettings { limits, workers: workers(&plan.stages, window), backoff: plan.backoff });
        let stages: Vec<_> = plan.stages.into_iter().map(|planned| planned.stage).collect();
        let status = Status::default();
        let random = plan.seed.map_or_else(Random::unseeded, Random::new);
        let (sender, receiver) = mpsc::unbounded_channel();
        let orders = OrderSender::default();
        let first: (_, Box<dyn AnySource<S::Item>>) = (plan.call, Box::new(source));
        let mut intakes = Vec::with_capacity(sources);
        for (index, (call, source)) in iter::once(first).chain(plan.merged).enumerate() {
            let opening = Opening {
                number: (sources > 1).then_some(index + 1),
                call,
                limits: limits.share(index, sources),
                timeout,
                items: sender.clone(),
                orders: orders.clone(),
                status: status.clone(),
                settings: Arc::clone(&settings),
                random: random.part(index as u64),
                copy: plan.copy,
                dead_letters: plan.dead_letters.as_ref(),
            };
            intakes.push(source.open(opening)?);
        }
        let in_hand = intakes.iter().map(|intake| Arc::clone(&intake.in_hand)).collect();
        #[cfg(feature = "inspect")]
        let objects = objects(&intakes, &stages, &status);
        let items = path.connect(Box::pin(Pulled::new(receiver)), &settings);
        let task = Run {
            intakes,
            items,
            orders: orders.clone(),
            #[cfg(feature = "inspect")]
            _objects: objects,
        };
        let shared = Shared { orders, in_hand, stages, status, started: Instant::now() };
        Ok(Running::new(background(|_| run(task)), shared))
    }
}

/// Behind a split the limits, and not the window, say how many parts are worked on at a time.
fn workers(stages: &[PlannedStage], window: usize) -> usize {
    stages.iter().filter_map(|planned| planned.limit).fold(0, usize::saturating_add).max(window)
}

fn limits<T>(plan: &Plan<T>, sources: usize) -> Result<Limits, InvalidPipeline> {
    let invalid = |text: String| Err(InvalidPipeline(text));
    if plan.has_stray_setting {
        return invalid(
            "a limit or timeout stands before the first stage: it belongs behind its stage".into(),
        );
    }
    if plan.stages.is_empty() {
        return invalid("the pipeline has no stage, batch or sink: it would ack items untouched".into());
    }
    let mut names = HashSet::new();
    let (mut sum, mut working) = (0_usize, 0_usize);
    for planned in &plan.stages {
        let name = &*planned.stage.name;
        if !names.insert(name) {
            return invalid(format!("two stages have the name `{name}`"));
        }
        if planned.limit == Some(0) {
            return invalid(format!("the limit of stage `{name}` is zero"));
        }
        if planned.timeout == Some(Duration::ZERO) {
            return invalid(format!("the timeout of stage `{name}` is zero"));
        }
        let batch = planned.batch.unwrap_or(1);
        let items = planned.limit.unwrap_or(1).saturating_mul(batch);
        // A batch that is being collected.
        let items = items.saturating_add(planned.batch.unwrap_or(0));
        sum = sum.saturating_add(if planned.limit.is_some() || planned.batch.is_some() { items } else { 0 });
        working = match planned.limit {
            Some(_) => working.saturating_add(items),
            None => usize::MAX,
        };
    }
    let window = plan.window.unwrap_or(sum.max(DEFAULT_WINDOW).saturating_mul(sources));
    if window == 0 {
        return invalid("the window is zero".into());
    }
    // The smallest share.
    let share = window / sources;
    if share == 0 {
        return invalid(format!("a window of {window} has no room for each of {sources} sources"));
    }
    for planned in &plan.stages {
        if let Some(batch) = planned.batch.filter(|batch| *batch > share) {
            let name = &planned.stage.name;
            let of_each = if sources > 1 {
                format!(" {share} for each of {sources} sources")
            } else {
                format!(" {share}")
            };
            return invalid(format!(
                "a batch of stage `{name}` has {batch} items, and the window only{of_each}: it would never be full"
            ));
        }
    }
    if plan.budget == Some(0) {
        return invalid("the budget is zero bytes".into());
    }
    if let Some(budget) = plan.budget.filter(|budget| *budget < sources) {
        return invalid(format!("a budget of {budget} bytes has no room for each of {sources} sources"));
    }
    let untimed = plan.stages.iter().find(|planned| planned.batch.is_some() && !planned.ends_in_time);
    if let (Some(_), Some(planned)) = (plan.budget, untimed) {
        let name = &planned.stage.name;
        return invalid(format!(
            "a batch of stage `{name}` has no time limit, and the budget may hold fewer items: it would never be full"
        ));
    }
    let max_attempts = match (plan.max_attempts, &plan.dead_letters) {
        (Some(0), _) => return invalid("the number of attempts is zero".into()),
        (Some(_), None) => {
            return invalid("max_attempts needs a dead letter sink: items would be lost".into());
        }
        (None, None) => u32::MAX,
        (attempts, Some(_)) => attempts.unwrap_or(DEFAULT_ATTEMPTS),
    };
    // As long as items wait for a limit, a pull can wait until it is worth its round trip.
    let worth = (window.saturating_sub(working.saturating_mul(sources)) / 2).max(1);
    Ok(Limits { window, budget: plan.budget.unwrap_or(usize::MAX), worth, max_attempts })
}
