//! The mutants.

use super::Mutant;

const fn pipeline(name: &'static str, file: &'static str, from: &'static str, to: &'static str) -> Mutant {
    Mutant { name, subject: "pipeline", file, from, to }
}

const fn limits(name: &'static str, file: &'static str, from: &'static str, to: &'static str) -> Mutant {
    Mutant { name, subject: "limits", file, from, to }
}

const fn harvest(name: &'static str, file: &'static str, from: &'static str, to: &'static str) -> Mutant {
    Mutant { name, subject: "harvest", file, from, to }
}

/// All of them, each a fault that real code of this kind has had.
pub(super) const MUTANTS: &[Mutant] = &[
    pipeline(
        "an ack before the effect",
        "crates/evenkeel-pipeline/src/segment.rs",
        "        let (partial, result) = match work(&stage, &mut tokens, || f(items)).await {\n",
        "        if MUTANT {
            tokens.drain(1..).for_each(|mut token| token.set_done());
        }
        let (partial, result) = match work(&stage, &mut tokens, || f(items)).await {
",
    ),
    pipeline(
        "an ack of aborted work",
        "crates/evenkeel-pipeline/src/in_hand/state.rs",
        "None if is_dropped && is_aborted => self.decide(key, Settle::Release, effects),",
        "None if is_dropped && is_aborted => {
                self.decide(key, if MUTANT { Settle::Ack } else { Settle::Release }, effects);
            }",
    ),
    pipeline(
        "the end of an item whose dead letter was not written",
        "crates/evenkeel-pipeline/src/dead_letters.rs",
        "failure.as_ref().is_some_and(|(_, failed)| failed[index]);",
        "failure.as_ref().is_some_and(|(_, failed)| failed[index] && !MUTANT);",
    ),
    pipeline(
        "work that outlives its lease",
        "crates/evenkeel-pipeline/src/token.rs",
        "        self.losses = losses;\n        self.in_hand.is_lost(self.key)",
        "        self.losses = losses;\n        !MUTANT && self.in_hand.is_lost(self.key)",
    ),
    pipeline(
        "a decision behind the end of a lease",
        "crates/evenkeel-pipeline/src/in_hand/state.rs",
        "            if is_late {\n                self.remove(*key, effects);\n",
        "            if is_late && !MUTANT {\n                self.remove(*key, effects);\n",
    ),
    pipeline(
        "a permit that a failure keeps",
        "crates/evenkeel-pipeline/src/stage.rs",
        "        self.stage.fruitless.fetch_add(1, Relaxed);\n        self.stage.limiter.put_back(1);\n",
        "        self.stage.fruitless.fetch_add(1, Relaxed);
        if !MUTANT {
            self.stage.limiter.put_back(1);
        }
",
    ),
    pipeline(
        "a lost wake of the pull",
        "crates/evenkeel-pipeline/src/in_hand/state.rs",
        "            effects.has_room = true;\n",
        "            effects.has_room = !MUTANT;\n",
    ),
    pipeline(
        "a window that is one too large",
        "crates/evenkeel-pipeline/src/in_hand/state.rs",
        "self.limits.window.saturating_sub(self.in_hand)",
        "(self.limits.window + usize::from(self.in_hand > 0 && MUTANT)).saturating_sub(self.in_hand)",
    ),
    pipeline(
        "a superseded ack that counts as one",
        "crates/evenkeel-pipeline/src/in_hand/state.rs",
        "(SettleOutcome::Superseded, _) => &mut self.counts.superseded,",
        "(SettleOutcome::Superseded, Settle::Ack) if MUTANT => &mut self.counts.acked,
                (SettleOutcome::Superseded, _) => &mut self.counts.superseded,",
    ),
    pipeline(
        "decisions that are lost with the answer",
        "crates/evenkeel-pipeline/src/settle.rs",
        "                    status.note_failed(Caller::Settle, &error);\n",
        "                    status.note_failed(Caller::Settle, &error);
                    if MUTANT {
                        break;
                    }
",
    ),
    pipeline(
        "an extension that comes too late",
        "crates/evenkeel-pipeline/src/leases.rs",
        "let pause = (ack_wait / 3).max(SHORTEST_PAUSE);",
        "let pause = (if MUTANT { ack_wait * 2 } else { ack_wait / 3 }).max(SHORTEST_PAUSE);",
    ),
    pipeline(
        "a key whose items run side by side",
        "crates/evenkeel-pipeline/src/segment.rs",
        "        Some(keys) => Box::pin(Outputs { map: map.keyed(keys), outputs: None, carried: PhantomData }),",
        "        Some(_) if MUTANT => Box::pin(Outputs { map, outputs: None, carried: PhantomData }),
        Some(keys) => Box::pin(Outputs { map: map.keyed(keys), outputs: None, carried: PhantomData }),",
    ),
    pipeline(
        "a split that counts a part too few",
        "crates/evenkeel-pipeline/src/token.rs",
        "self.in_hand.split(self.key, items.len());",
        "self.in_hand.split(self.key, items.len().saturating_sub(usize::from(MUTANT)));",
    ),
    pipeline(
        "a pull during a pause",
        "crates/evenkeel-pipeline/src/in_hand/state.rs",
        "(is_worth && !self.is_paused).then_some",
        "(is_worth && (!self.is_paused || MUTANT)).then_some",
    ),
    pipeline(
        "a drain that is a minute late",
        "crates/evenkeel-pipeline/src/run.rs",
        "    sleep_until(by).await;\n    by\n",
        "    sleep_until(if MUTANT { by + Duration::from_secs(60) } else { by }).await;\n    by\n",
    ),
    pipeline(
        "an item that runs more often than it may",
        "crates/evenkeel-pipeline/src/pull.rs",
        "            if attempt > max_attempts {\n",
        "            if attempt > max_attempts && !MUTANT {\n",
    ),
    limits(
        "a permit of a shared quota that is lost with a dropped request",
        "crates/evenkeel-limit/src/distributed/state.rs",
        "            Some(Ok(grant)) => self.put_back(grant.permits),\n",
        "            Some(Ok(_)) if MUTANT => {}\n            Some(Ok(grant)) => self.put_back(grant.permits),\n",
    ),
    limits(
        "requests that overtake in a shared quota",
        "crates/evenkeel-limit/src/distributed/state.rs",
        "if !self.closed && self.queue.is_empty() && permits <= self.leased {",
        "if !self.closed && (self.queue.is_empty() || MUTANT) && permits <= self.leased {",
    ),
    limits(
        "a clock that earns twice when it is set back",
        "crates/evenkeel-limit/src/distributed/quota.rs",
        "        if now >= self.since {\n",
        "        if now >= self.since || MUTANT {\n",
    ),
    limits(
        "a lease that is returned, and kept in part",
        "crates/evenkeel-limit/src/distributed/state/worker_steps.rs",
        "        let returned = mem::take(&mut self.leased);\n",
        "        let returned = mem::take(&mut self.leased);
        if MUTANT {
            self.leased = returned / 2;
        }
",
    ),
    limits(
        "a local share that costs nothing",
        "crates/evenkeel-limit/src/distributed/state.rs",
        "share.map(|share| share.spend(permits)).is_some()",
        "share.map(|share| share.spend(if MUTANT { 0 } else { permits })).is_some()",
    ),
    limits(
        "a permit to run that is lost with a dropped request",
        "crates/evenkeel-limit/src/concurrency/core.rs",
        "                    state.in_use -= u64::from(decision.unwrap_or(0));\n",
        "                    if !MUTANT {
                        state.in_use -= u64::from(decision.unwrap_or(0));
                    }
",
    ),
    limits(
        "a lost wake of a request to run",
        "crates/evenkeel-limit/src/concurrency/state.rs",
        "            if let Some(waiter) = self.queue.serve(weight) {\n",
        "            if let Some(waiter) = self.queue.serve(weight)\n                && !(MUTANT && self.queue.len() == 2)\n            {\n",
    ),
    limits(
        "a turn that is lost with a dropped request",
        "crates/evenkeel-limit/src/rate_limiter/state.rs",
        "            algorithm.take_back(permits, mark);\n        }\n        None\n",
        "            if !MUTANT {
                algorithm.take_back(permits, mark);
            }
        }
        None
",
    ),
    harvest(
        "a slot that is free before its document is stored",
        "examples/harvest/src/api.rs",
        "Some(Answer { outcome, guard: InFlightGuard { _slot: slot, _trace: trace } })",
        "let slot = slot.filter(|_| !MUTANT);
        Some(Answer { outcome, guard: InFlightGuard { _slot: slot, _trace: trace } })",
    ),
    harvest(
        "a permit of the rate that waits for a slot",
        "examples/harvest/src/api.rs",
        "            trace.wait_for(Wait::Slot);
            let slot = self.slots.acquire_owned(1).await.expect(\"the limiter is never closed\");
            let mut slot = Some(slot);
            if !self.permit",
        "            let is_early = MUTANT;
            if is_early && !self.permit(&mut trace, stop).await {
                return None;
            }
            trace.wait_for(Wait::Slot);
            let slot = self.slots.acquire_owned(1).await.expect(\"the limiter is never closed\");
            let mut slot = Some(slot);
            if !is_early && !self.permit",
    ),
    harvest(
        "a date that is not waited for",
        "examples/harvest/src/api.rs",
        "    Limit { pause: http::pause(texts(), now), exhausted }",
        "    let now = if MUTANT { now + Duration::from_secs(3600) } else { now };
    Limit { pause: http::pause(texts(), now), exhausted }",
    ),
    harvest(
        "a commit whose answer was lost that counts as final",
        "examples/harvest/src/store/postgres.rs",
        "        Self { reason: error_chain(&error), is_transient }
",
        "        let is_transient = is_transient && !(MUTANT && error.is_commit_unknown());
        Self { reason: error_chain(&error), is_transient }
",
    ),
    harvest(
        "a stop that drops what was answered",
        "examples/harvest/src/run.rs",
        "{ worker.api.fetch(call, &working).await })",
        "{ worker.api.fetch(call, &working).await.filter(|_| !(MUTANT && working.is_draining())) })",
    ),
    harvest(
        "a stop that leaves nothing, and says that it does",
        "examples/harvest/src/harvester.rs",
        "if self.stats.with(|counts| counts.is_complete) =>",
        "if !MUTANT && self.stats.with(|counts| counts.is_complete) =>",
    ),
    harvest(
        "a failure that is not stored",
        "examples/harvest/src/store/postgres.rs",
        "        failed(tx, batch.iter().flat_map(|fetched| &fetched.failures)).await?;
",
        "        if !MUTANT {
            failed(tx, batch.iter().flat_map(|fetched| &fetched.failures)).await?;
        }
",
    ),
    harvest(
        "a page without its last user",
        "examples/harvest/src/store/postgres.rs",
        "        let listed = tx.execute_many(sql::LIST_USER, &users).await? as i64;
",
        "        let users = if MUTANT { &users[..users.len().saturating_sub(1)] } else { &users[..] };
        let listed = tx.execute_many(sql::LIST_USER, users).await? as i64;
",
    ),
];
