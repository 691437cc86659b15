BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('v3.2.0.a');
CREATE TABLE gradstudy_alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT gradstudy_alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "gradstudy_alembic_version" VALUES('0010');
CREATE TABLE gradstudy_archive (
	study_id INTEGER NOT NULL, 
	file VARCHAR(64) NOT NULL, 
	folder TEXT NOT NULL, 
	first_number INTEGER NOT NULL, 
	last_number INTEGER NOT NULL, 
	step_rows INTEGER NOT NULL, 
	CONSTRAINT pk_gradstudy_archive PRIMARY KEY (study_id, file), 
	CONSTRAINT fk_gradstudy_archive_study_id FOREIGN KEY(study_id) REFERENCES gradstudy_study (study_id) ON DELETE CASCADE
);
CREATE TABLE gradstudy_checkpoint (
	id INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	part INTEGER NOT NULL, 
	state BLOB NOT NULL, 
	CONSTRAINT pk_gradstudy_checkpoint PRIMARY KEY (id, step, part), 
	CONSTRAINT fk_gradstudy_checkpoint_id FOREIGN KEY(id) REFERENCES gradstudy_trial (id) ON DELETE CASCADE
);
CREATE TABLE gradstudy_set_aside (
	study_id INTEGER NOT NULL, 
	host VARCHAR(255) NOT NULL, 
	reason TEXT NOT NULL, 
	code VARCHAR(64), 
	since DATETIME NOT NULL, 
	CONSTRAINT pk_gradstudy_set_aside PRIMARY KEY (study_id, host), 
	CONSTRAINT fk_gradstudy_set_aside_study_id FOREIGN KEY(study_id) REFERENCES gradstudy_study (study_id) ON DELETE CASCADE
);
CREATE TABLE gradstudy_step (
	trial_id INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	loss DOUBLE, 
	grad_norm DOUBLE, 
	applied_norm DOUBLE, 
	learning_rate DOUBLE, 
	CONSTRAINT pk_gradstudy_step PRIMARY KEY (trial_id, step), 
	CONSTRAINT fk_gradstudy_step_trial_id FOREIGN KEY(trial_id) REFERENCES trials (trial_id) ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "gradstudy_step" VALUES(1,0,3.75,2.0,1.0,0.5);
INSERT INTO "gradstudy_step" VALUES(1,1,1.5,2.0,1.0,0.5);
INSERT INTO "gradstudy_step" VALUES(2,0,3.75,2.0,1.0,0.5);
INSERT INTO "gradstudy_step" VALUES(2,1,NULL,2.0,1.0,0.5);
CREATE TABLE gradstudy_study (
	study_id INTEGER NOT NULL, 
	spec JSON NOT NULL, 
	budget INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	gradstudy_version VARCHAR(64) NOT NULL, 
	optuna_version VARCHAR(64) NOT NULL, 
	torch_version VARCHAR(64) NOT NULL, identity VARCHAR(32) DEFAULT '' NOT NULL, steps INTEGER, extends VARCHAR(32), 
	CONSTRAINT pk_gradstudy_study PRIMARY KEY (study_id), 
	CONSTRAINT fk_gradstudy_study_study_id FOREIGN KEY(study_id) REFERENCES studies (study_id) ON DELETE CASCADE
);
INSERT INTO "gradstudy_study" VALUES(1,'{"name": "first", "task": "copy"}',4,'2026-11-20 10:00:00.000000','0.1.0','5.0.0','2.13.0','64266b496330411ebd8afa0b3a081ceb',NULL,NULL);
INSERT INTO "gradstudy_study" VALUES(2,'{"name": "first-at-1200", "task": "copy", "steps": 1200}',1,'2026-11-21 10:00:00.000000','0.1.0','5.0.0','2.13.0','94266b496330411ebd8afa0b3a081ceb',1200,'64266b496330411ebd8afa0b3a081ceb');
CREATE TABLE gradstudy_trial (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	study_id INTEGER NOT NULL, 
	ordinal INTEGER NOT NULL, 
	trial_id INTEGER, 
	worker_id INTEGER, 
	attempt INTEGER NOT NULL, 
	seed BIGINT NOT NULL, 
	cell VARCHAR(64), 
	strategy VARCHAR(64), 
	threshold DOUBLE, 
	threshold_bin DOUBLE, 
	learning_rate DOUBLE, 
	learning_rate_bin DOUBLE, 
	factors JSON, 
	outcome VARCHAR(16), 
	reason VARCHAR(64), 
	diverged_at_step INTEGER, 
	steps INTEGER NOT NULL, 
	initial_loss DOUBLE, 
	final_loss DOUBLE, 
	initial_validation_loss DOUBLE, 
	validation_loss DOUBLE, 
	objective DOUBLE, 
	grad_norm_p50 DOUBLE, 
	grad_norm_p90 DOUBLE, 
	grad_norm_max DOUBLE, 
	clipped_fraction DOUBLE, 
	spikes INTEGER, 
	skipped_steps INTEGER, 
	seconds DOUBLE, 
	started_at DATETIME, 
	finished_at DATETIME, 
	error TEXT, failures INTEGER DEFAULT '0' NOT NULL, metrics JSON, losses INTEGER DEFAULT '0' NOT NULL, lost_at INTEGER, excluded TEXT, 
	CONSTRAINT uq_gradstudy_trial_study_id_ordinal UNIQUE (study_id, ordinal), 
	CONSTRAINT uq_gradstudy_trial_trial_id UNIQUE (trial_id), 
	CONSTRAINT fk_gradstudy_trial_study_id FOREIGN KEY(study_id) REFERENCES gradstudy_study (study_id) ON DELETE CASCADE, 
	CONSTRAINT fk_gradstudy_trial_trial_id FOREIGN KEY(trial_id) REFERENCES trials (trial_id) ON DELETE CASCADE, 
	CONSTRAINT fk_gradstudy_trial_worker_id FOREIGN KEY(worker_id) REFERENCES gradstudy_worker (worker_id), 
	CONSTRAINT ck_gradstudy_trial_ck_gradstudy_trial_outcome CHECK (outcome IN ('trained', 'stalled', 'diverged', 'pruned', 'failed'))
);
INSERT INTO "gradstudy_trial" VALUES(1,1,0,1,1,1,9007199254740993,'lstm','norm',1.0,1.0,0.5,3.16227766016837941176e-01,'{"hidden_size": 8}','trained',NULL,NULL,2,3.75,1.5,3.75,1.25,1.25,1.5,2.5,3.5,0.5,1,0,0.25,'2026-11-20 10:00:00.000000','2026-11-20 10:00:30.500000',NULL,0,NULL,0,NULL,NULL);
INSERT INTO "gradstudy_trial" VALUES(2,1,1,2,1,1,2,'gru','none',NULL,NULL,0.5,3.16227766016837941176e-01,'{}','diverged','blow_up',1,2,3.75,NULL,3.75,NULL,3.75,1.5,2.5,3.5,0.5,1,0,0.25,'2026-11-20 10:00:00.000000','2026-11-20 10:00:30.500000',NULL,0,NULL,0,NULL,NULL);
INSERT INTO "gradstudy_trial" VALUES(3,1,2,3,NULL,2,3,'lstm','norm',1.0,1.0,0.5,3.16227766016837941176e-01,'{"hidden_size": 8}',NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-20 10:00:00.000000',NULL,NULL,0,NULL,0,NULL,NULL);
CREATE TABLE gradstudy_worker (
	worker_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	host VARCHAR(255) NOT NULL, 
	pid INTEGER NOT NULL, 
	device VARCHAR(64) NOT NULL, 
	started_at DATETIME NOT NULL, 
	last_seen_at DATETIME NOT NULL, 
	stopped_at DATETIME
, process_space VARCHAR(64));
INSERT INTO "gradstudy_worker" VALUES(1,'here',17,'cpu','2026-11-20 10:00:00.000000','2026-11-20 10:00:30.500000',NULL,NULL);
CREATE TABLE studies (
	study_id INTEGER NOT NULL, 
	study_name VARCHAR(512) NOT NULL, 
	PRIMARY KEY (study_id AUTOINCREMENT)
);
INSERT INTO "studies" VALUES(1,'first');
INSERT INTO "studies" VALUES(2,'first-at-1200');
CREATE TABLE study_directions (
	study_direction_id INTEGER NOT NULL, 
	direction VARCHAR(8) NOT NULL, 
	study_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	PRIMARY KEY (study_direction_id), 
	UNIQUE (study_id, objective), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_directions" VALUES(1,'MINIMIZE',1,0);
INSERT INTO "study_directions" VALUES(2,'MINIMIZE',2,0);
CREATE TABLE study_system_attributes (
	study_system_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_system_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_system_attributes" VALUES(1,2,'gradstudy:extends','{"study": {"study_id": 1, "created_at": "2026-11-20T10:00:00"}, "settings": []}');
CREATE TABLE study_user_attributes (
	study_user_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_user_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE TABLE trial_heartbeats (
	trial_heartbeat_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	heartbeat DATETIME NOT NULL, 
	PRIMARY KEY (trial_heartbeat_id), 
	UNIQUE (trial_id), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_intermediate_values (
	trial_intermediate_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	intermediate_value FLOAT, 
	intermediate_value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_intermediate_value_id), 
	UNIQUE (trial_id, step), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_params (
	param_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	param_name VARCHAR(512), 
	param_value FLOAT, 
	distribution_json TEXT, 
	PRIMARY KEY (param_id), 
	UNIQUE (trial_id, param_name), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_params" VALUES(1,1,'cell',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["lstm", "gru"]}}');
INSERT INTO "trial_params" VALUES(2,1,'learning_rate',1.00131765609412612567e-03,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.001, "high": 100.0, "log": true}}');
INSERT INTO "trial_params" VALUES(3,2,'cell',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["lstm", "gru"]}}');
INSERT INTO "trial_params" VALUES(4,2,'learning_rate',2.89529602334928463924e-03,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.001, "high": 100.0, "log": true}}');
INSERT INTO "trial_params" VALUES(5,3,'cell',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["lstm", "gru"]}}');
INSERT INTO "trial_params" VALUES(6,3,'learning_rate',9.63468169262437917899e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.001, "high": 100.0, "log": true}}');
CREATE TABLE trial_system_attributes (
	trial_system_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_system_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_system_attributes" VALUES(1,1,'constraints:divergence','-0.5');
INSERT INTO "trial_system_attributes" VALUES(2,2,'constraints:divergence','1.5');
CREATE TABLE trial_user_attributes (
	trial_user_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_user_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_user_attributes" VALUES(1,1,'outcome','"trained"');
INSERT INTO "trial_user_attributes" VALUES(2,2,'outcome','"diverged"');
CREATE TABLE trial_values (
	trial_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	value FLOAT, 
	value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_value_id), 
	UNIQUE (trial_id, objective), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_values" VALUES(1,1,0,1.25,'FINITE');
INSERT INTO "trial_values" VALUES(2,2,0,3.75,'FINITE');
CREATE TABLE trials (
	trial_id INTEGER NOT NULL, 
	number INTEGER, 
	study_id INTEGER, 
	state VARCHAR(8) NOT NULL, 
	datetime_start DATETIME, 
	datetime_complete DATETIME, 
	PRIMARY KEY (trial_id AUTOINCREMENT), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "trials" VALUES(1,0,1,'COMPLETE','2026-11-23 23:17:58.998914','2026-11-23 23:17:59.058134');
INSERT INTO "trials" VALUES(2,1,1,'COMPLETE','2026-11-23 23:17:59.025336','2026-11-23 23:17:59.072614');
INSERT INTO "trials" VALUES(3,2,1,'RUNNING','2026-11-23 23:17:59.037731',NULL);
CREATE TABLE version_info (
	version_info_id INTEGER NOT NULL, 
	schema_version INTEGER, 
	library_version VARCHAR(256), 
	PRIMARY KEY (version_info_id), 
	CHECK (version_info_id=1)
);
INSERT INTO "version_info" VALUES(1,12,'5.0.0');
CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);
CREATE INDEX ix_trials_study_id ON trials (study_id);
CREATE INDEX ix_gradstudy_trial_worker_id ON gradstudy_trial (worker_id);
CREATE VIEW step_result AS
SELECT
    studies.study_name AS study,
    trials.number AS number,
    s.trial_id,
    t.cell, t.strategy, t.threshold,
    s.learning_rate,
    t.outcome,
    s.step, s.loss, s.grad_norm, s.applied_norm
FROM gradstudy_step s
JOIN gradstudy_trial t ON t.trial_id = s.trial_id
JOIN trials ON trials.trial_id = s.trial_id
JOIN studies ON studies.study_id = t.study_id;
CREATE TRIGGER gradstudy_trial_deleted AFTER DELETE ON trials
BEGIN
    DELETE FROM gradstudy_step WHERE trial_id = OLD.trial_id;
    DELETE FROM gradstudy_trial WHERE trial_id = OLD.trial_id;
END;
CREATE TRIGGER gradstudy_study_deleted AFTER DELETE ON studies
BEGIN
    DELETE FROM gradstudy_trial WHERE study_id = OLD.study_id;
    DELETE FROM gradstudy_study WHERE study_id = OLD.study_id;
END;
CREATE INDEX ix_gradstudy_trial_study_id_outcome ON gradstudy_trial (study_id, outcome);
CREATE UNIQUE INDEX ix_gradstudy_study_identity ON gradstudy_study (identity);
CREATE TRIGGER gradstudy_set_aside_deleted AFTER DELETE ON gradstudy_study
BEGIN
    DELETE FROM gradstudy_set_aside WHERE study_id = OLD.study_id;
END;
CREATE TRIGGER gradstudy_checkpoint_deleted AFTER DELETE ON gradstudy_trial
BEGIN
    DELETE FROM gradstudy_checkpoint WHERE id = OLD.id;
END;
CREATE VIEW trial_result AS
SELECT
    studies.study_name AS study,
    trials.number AS number,
    t.trial_id, t.ordinal,
    t.cell, t.strategy, t.threshold, t.learning_rate, t.threshold_bin, t.learning_rate_bin, t.factors,
    t.seed, t.attempt,
    t.outcome, t.reason, t.diverged_at_step, t.steps,
    t.initial_loss, t.final_loss, t.initial_validation_loss, t.validation_loss, t.objective,
    t.grad_norm_p50, t.grad_norm_p90, t.grad_norm_max, t.clipped_fraction, t.spikes, t.skipped_steps,
    t.seconds, t.worker_id AS worker, w.host,
    trials.state AS state,
    t.started_at, t.finished_at,
    t.metrics,
    s.steps AS horizon,
    COALESCE(root.study_name, studies.study_name) AS root_study,
    t.excluded
FROM gradstudy_trial t
JOIN trials ON trials.trial_id = t.trial_id
JOIN studies ON studies.study_id = t.study_id
JOIN gradstudy_study s ON s.study_id = t.study_id
LEFT JOIN gradstudy_study extended ON extended.identity = s.extends
LEFT JOIN studies root ON root.study_id = extended.study_id
LEFT JOIN gradstudy_worker w ON w.worker_id = t.worker_id;
CREATE VIEW setting_summary AS
SELECT
    study, cell, strategy, factors, threshold_bin, learning_rate_bin,
    COUNT(*) AS n,
    COUNT(CASE WHEN outcome = 'diverged' THEN 1 END) AS diverged,
    CAST(COUNT(CASE WHEN outcome = 'diverged' THEN 1 END) AS DOUBLE PRECISION) / COUNT(*) AS rate
FROM trial_result
WHERE outcome IN ('trained', 'stalled', 'diverged') AND excluded IS NULL
GROUP BY study, cell, strategy, factors, threshold_bin, learning_rate_bin;
CREATE TRIGGER gradstudy_archive_deleted AFTER DELETE ON gradstudy_study
BEGIN
    DELETE FROM gradstudy_archive WHERE study_id = OLD.study_id;
END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('gradstudy_worker',1);
INSERT INTO "sqlite_sequence" VALUES('gradstudy_trial',3);
COMMIT;
