//! A manager that is one function.

use std::{error::Error, fmt, pin::Pin, sync::Arc};

use crate::{BoxError, Builder, Manager, Pool};

/// The manager of [`Pool::from_fn`]: a function that creates objects of the type `T`.
///
/// The pool is a `Pool<FromFn<T>>`, as a field or an argument names it. Its objects are neither checked nor reset: for
/// that write a [`Manager`].
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// use evenkeel_pool::{BoxError, FromFn, Pool};
/// use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
///
/// struct App {
///     streams: Pool<FromFn<DuplexStream>>,
/// }
///
/// impl App {
///     async fn ping(&self) -> Result<(), BoxError> {
///         self.streams.get().await?.write_u8(1).await?;
///         Ok(())
///     }
/// }
///
/// async fn connect(capacity: usize) -> std::io::Result<DuplexStream> {
///     Ok(duplex(capacity).0)
/// }
///
/// let app = App { streams: Pool::from_fn(|| connect(64)).max(16).build()? };
/// assert!(app.ping().await.is_err()); // nobody reads
/// # Ok(())
/// # }
/// ```
pub struct FromFn<T> {
    create: Arc<dyn Fn() -> Creation<T> + Send + Sync>,
}

type Creation<T> = Pin<Box<dyn Future<Output = Result<T, CreateError>> + Send>>;

impl<T: Send + 'static> Pool<FromFn<T>> {
    /// Returns the builder of a pool whose objects this function creates.
    ///
    /// A clone of the function is called for each object, so that an `async move` closure may use what it has captured. Its
    /// error is any that converts into [`BoxError`]; callers get it as the [`CreateError`] in
    /// [`GetError::Create`](crate::GetError::Create). A closure that uses `?` has to name it: `async || -> Result<_, BoxError> { … }`.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use evenkeel_pool::{BoxError, Pool};
    ///
    /// # struct Connection;
    /// # impl Connection { async fn log_in(&mut self, _: u32) -> std::io::Result<()> { Ok(()) } }
    /// async fn connect(url: &str) -> std::io::Result<Connection> {
    /// #   let _ = url;
    ///     Ok(Connection) // yours
    /// }
    ///
    /// let pool = Pool::from_fn(|| connect("db:5432")).max(16).build()?;
    /// let connection = pool.get().await?;
    /// # drop(connection);
    ///
    /// let (url, user) = (String::from("db:5432"), String::from("7"));
    /// let with_log_in = Pool::from_fn(async move || -> Result<_, BoxError> {
    ///     let mut connection = connect(&url).await?;
    ///     connection.log_in(user.parse()?).await?;
    ///     Ok(connection)
    /// });
    /// # drop(with_log_in.build()?.get().await?);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias("new", "builder"))]
    pub fn from_fn<F, Fut, E>(create: F) -> Builder<FromFn<T>>
    where
        F: FnOnce() -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        let create = move || -> Creation<T> {
            let creation = create.clone()();
            Box::pin(async move { creation.await.map_err(|error| CreateError(error.into())) })
        };
        Self::builder(FromFn { create: Arc::new(create) })
    }
}

impl<T: Send + 'static> Manager for FromFn<T> {
    type Object = T;
    type Error = CreateError;

    fn create(&self) -> impl Future<Output = Result<T, CreateError>> + Send {
        (self.create)()
    }
}

impl<T> Clone for FromFn<T> {
    fn clone(&self) -> Self {
        Self { create: Arc::clone(&self.create) }
    }
}

impl<T> fmt::Debug for FromFn<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FromFn").finish_non_exhaustive()
    }
}

/// The error of the function of [`Pool::from_fn`], with its text and its source; the field is the error itself.
///
/// A [`Manager`] whose error is no [`Error`], as those of anyhow and boxes are, has it, too:
/// `.map_err(|error| CreateError(error.into()))`.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use evenkeel_pool::{CreateError, GetError, Pool};
/// use std::net::AddrParseError;
///
/// let pool = Pool::from_fn(async || "here".parse::<std::net::IpAddr>()).build()?;
/// let Err(GetError::Create(CreateError(error))) = pool.get().await else { unreachable!("it is no address") };
/// assert!(error.is::<AddrParseError>());
/// # Ok(())
/// # }
/// ```
pub struct CreateError(pub BoxError);

impl fmt::Debug for CreateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for CreateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for CreateError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}
