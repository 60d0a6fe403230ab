//! What the process gives up once its ports are open, and what confines it from then on.
//!
//! Both go by threads, so this comes before the first one is started: before the log, before the runtime.

mod rights;
mod sandbox;

use crate::config::Config;
use crate::failure::Failure;

pub(crate) use self::rights::Plan;

/// What the process has left, to be told once there is a log.
#[derive(Debug)]
pub(crate) struct Confinement {
    line: String,
    warning: Option<String>,
}

/// Decides what is given up, and judges what can be judged before it is.
///
/// # Errors
/// When the configuration asks for what cannot be had.
pub(crate) fn plan(config: &Config) -> Result<Plan, Failure> {
    sandbox::judge(config)?;
    rights::plan(config)
}

/// Carries out the plan without the sandbox, which closes no file that `check` still looks at.
///
/// # Errors
/// When rights cannot be given up.
pub(crate) fn give_up_rights(plan: &Plan) -> Result<(), Failure> {
    plan.carry_out()
}

/// Carries out the plan, then enters the sandbox.
///
/// # Errors
/// When rights cannot be given up, or a sandbox is required and cannot be had.
pub(crate) fn confine(plan: &Plan, config: &Config) -> Result<Confinement, Failure> {
    plan.carry_out()?;
    let (rights, warning) = (plan.left()?, plan.warning(config));
    let sandbox = sandbox::enter(config)?;
    Ok(Confinement { line: format!("running as {rights}, {sandbox}"), warning })
}

impl Confinement {
    /// Writes the one line, and what could be better.
    pub(crate) fn log(&self) {
        tracing::info!("{}", self.line);
        if let Some(warning) = &self.warning {
            tracing::warn!("{warning}");
        }
    }
}
