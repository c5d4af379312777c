//! The servers of the real tier and of the long tests, for as long as they run.

use std::path::PathBuf;

use crate::{
    project::Project,
    servers::{self, Server},
};

/// The available servers. Dropping it stops the servers that were started here, not the ones that were found.
pub(crate) struct Servers {
    root: PathBuf,
    started: Vec<Server>,
    /// The variables that tell the tests where the servers are.
    pub(crate) variables: Vec<(&'static str, String)>,
    pub(crate) missing: Vec<(Server, String)>,
}

impl Servers {
    /// Finds or starts all servers; downloads only what is required.
    pub(crate) fn start(project: &Project, required: bool) -> Servers {
        Self::start_only(project, &Server::ALL, required)
    }

    /// Finds or starts these servers.
    pub(crate) fn start_only(project: &Project, servers: &[Server], required: bool) -> Servers {
        let root = project.root.clone();
        let mut all = Servers { root, started: Vec::new(), variables: Vec::new(), missing: Vec::new() };
        for started in servers::up(&project.root, servers, required) {
            all.started.extend(started.fresh.then_some(started.server));
            match started.result {
                Ok(url) => all.variables.push((started.server.env(), url)),
                Err(reason) => all.missing.push((started.server, reason)),
            }
        }
        all
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        servers::down(&self.root, &self.started);
    }
}
